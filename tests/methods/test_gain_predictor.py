"""Gains of groups that were not trained, from those that were."""

import numpy as np
import pytest
import torch

from mtlrun.methods import _gain_predictor
from mtlrun.methods._gain_predictor import GainPredictor

T = 5


def all_groups() -> np.ndarray:
    return np.array([[bool(own >> t & 1) for t in range(T)] for own in range(1, 2**T)])


def additive_gains(members: np.ndarray) -> np.ndarray:
    """What each task gains: a number for every pair, summed."""
    rng = np.random.default_rng(0)
    pairs = rng.normal(0, 0.1, (T, T)) * (1 - np.eye(T))
    found: np.ndarray = members * (members @ pairs)
    return found


def test_measured_gains_are_learned_and_tasks_outside_get_0() -> None:
    members = all_groups()
    gains = additive_gains(members)
    found = GainPredictor(patience=60).predict(members, gains, members, seed=0)
    assert np.abs(found - gains)[members].mean() < 0.2 * np.abs(gains)[members].mean()
    assert not found[~members].any()


def test_what_stands_at_other_tasks_is_not_read() -> None:
    members = all_groups()[::2]
    gains = additive_gains(members)
    spoiled = np.where(members, gains, 1e6)
    one, other = (
        GainPredictor().predict(members, g, all_groups(), seed=3) for g in (gains, spoiled)
    )
    assert np.array_equal(one, other)


def test_predictions_follow_the_seed_alone() -> None:
    members = all_groups()[1::3]
    gains, wanted = additive_gains(members), all_groups()
    own = GainPredictor()
    first = own.predict(members, gains, wanted, seed=1)
    assert np.array_equal(own.predict(members, gains, wanted, seed=1), first)
    assert not np.allclose(own.predict(members, gains, wanted, seed=2), first, atol=1e-6)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    members = all_groups()
    gains = additive_gains(members)
    expected = GainPredictor().predict(members, gains, members, seed=0)
    monkeypatch.setattr(_gain_predictor, "BLOCK", 4)
    found = GainPredictor().predict(members, gains, members, seed=0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_several_snapshots_predict_by_their_mean() -> None:
    members = all_groups()
    gains = additive_gains(members)
    own = GainPredictor(num_snapshots=2)
    network, weights = own._trained(torch.from_numpy(members), torch.from_numpy(gains).float(), 0)
    parts = []
    for each in weights:
        network.load_state_dict(each)
        with torch.no_grad():
            parts.append(network(torch.from_numpy(members)).numpy() * members)
    assert len(parts) == 2
    assert not np.allclose(parts[0], parts[1], atol=1e-4)
    found = own.predict(members, gains, members, seed=0)
    np.testing.assert_allclose(found, np.mean(parts, 0), rtol=0, atol=1e-6)


def test_tasks_alone_are_enough_to_predict() -> None:
    alone = np.eye(T, dtype=bool)
    found = GainPredictor().predict(alone, np.zeros((T, T)), all_groups(), seed=0)
    assert np.isfinite(found).all()
