"""The listing of all 0/1 vectors at which a quadratic form is at least 0."""

import numpy as np
import pytest

from mtlrun.solvers._clock import Clock
from mtlrun.solvers._duals import Cuts, Terms, bounds, fit, starting, violated
from mtlrun.solvers._lister import Form, list_nonnegative
from mtlrun.solvers._spectral import copositive_bound

ALL = (np.arange(1 << 10)[:, None] >> np.arange(10) & 1).astype(float)


def random_form(rng, *, limits, pairs):
    matrix = rng.normal(size=(10, 10))
    matrix = (matrix + matrix.T) / 2
    np.fill_diagonal(matrix, 0.0)
    rows, most = np.zeros((0, 10)), np.zeros(0)
    if limits:
        rows = np.array([np.ones(10), -np.ones(10), rng.integers(-1, 4, size=10)])
        most = np.array([6.0, -2.0, 8.0])
    stages = [(0, 1), (2,), (3, 4), *((v,) for v in range(5, 10))]
    both = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    return Form(
        matrix,
        rng.normal(size=10) - 1,
        -4 * rng.random(),
        stages,
        [both if len(stage) == 2 else np.array([[0.0], [1.0]]) for stage in stages],
        rows,
        most,
        apart=((0, 3), (5, 6)) if pairs else (),
        implied=((2, 7), (9, 1)) if pairs else (),
    )


def expected(form):
    value = np.einsum("ki,ij,kj->k", ALL, form.matrix, ALL) + ALL @ form.linear + form.constant
    good = (value >= 0) & (form.most >= ALL @ form.rows.T).all(1)
    for a, b in form.apart:
        good &= ALL[:, a] + ALL[:, b] < 2
    for y, x in form.implied:
        good &= ALL[:, y] <= ALL[:, x]
    return {tuple(own) for own in ALL[good].astype(bool).tolist()}


@pytest.mark.parametrize("num_cuts", [0, 30])
@pytest.mark.parametrize("limits", [False, True])
@pytest.mark.parametrize("pairs", [False, True])
def test_lists_every_vector_and_no_other(num_cuts, limits, pairs):
    for seed in range(12):
        form = random_form(np.random.default_rng(seed), limits=limits, pairs=pairs)
        listing = list_nonnegative(form, Clock(600), num_cuts=num_cuts)
        found = [tuple(own) for own in listing.vectors.tolist()]
        assert listing.complete
        assert len(found) == len(set(found))
        assert set(found) == expected(form)


def test_a_listing_that_is_stopped_says_so():
    form = random_form(np.random.default_rng(0), limits=False, pairs=False)
    assert not list_nonnegative(form, Clock(0)).complete


def test_bounds_hold_at_every_vector_whatever_the_multipliers():
    for seed in range(8):
        rng = np.random.default_rng(seed)
        form = random_form(rng, limits=True, pairs=True)
        cuts = Cuts.of([(2, 7, -1, 1, 0, 0, True), (9, 1, -1, 1, 0, 0, True)])
        linear = form.linear + 0.3 * rng.normal(size=(5, 10))
        slack = np.tile(form.most, (5, 1))
        terms = Terms(form.matrix, linear, form.rows, slack, cuts, np.full(5, 0.2))
        within = ALL[(form.most >= ALL @ form.rows.T).all(1)]
        within = within[(within[:, 2] <= within[:, 7]) & (within[:, 9] <= within[:, 1])]
        start = starting(terms)
        fitted = fit(terms, start)
        more = violated(terms, fitted, 20)
        values = np.einsum("ki,ij,kj->k", within, form.matrix, within) + linear @ within.T
        for own in (start, fitted):
            assert (bounds(terms, own)[0] >= values.max(1) - 1e-9).all()
        assert bounds(terms, fitted)[0].mean() <= bounds(terms, start)[0].mean()
        assert len(more) <= 20


def test_eigenvalue_bounds_hold():
    for seed in range(6):
        rng = np.random.default_rng(seed)
        matrix = rng.normal(size=(10, 10))
        matrix = (matrix + matrix.T) / 2
        sizes = rng.integers(1, 4, size=10).astype(float)
        groups = ALL[1:]
        worth = np.einsum("ki,ij,kj->k", groups, matrix, groups) / (groups @ sizes)
        scaled = matrix / np.sqrt(np.outer(sizes, sizes))
        bound, multipliers = copositive_bound(scaled, Clock(5))
        assert (multipliers >= 0).all()
        assert worth.max() <= bound + 1e-9
