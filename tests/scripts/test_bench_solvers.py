"""The measurements of the solvers: that they run, and that their search is the published one."""

import csv
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mtlrun.solvers import solve
from tests.solvers import published

SCRIPTS = Path(__file__).parents[2] / "scripts"


def load(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look
    spec.loader.exec_module(module)
    return module


def test_the_search_looks_at_every_choice_and_keeps_the_best():
    search_all = load("_tag_search").search_all
    for m, nodes in ((1, 31), (2, 496), (3, 4991)):  # sums of (31 choose k), k <= m
        search = search_all(published.TAG_TASKONOMY, m, 60)
        assert search.nodes == search.all_nodes == nodes
        best = solve(published.TAG_TASKONOMY, num_groups=m, objective="best_group")
        assert search.value == pytest.approx(best.objective, rel=1e-12)


def test_a_search_that_is_stopped_says_so():
    search = load("_tag_search").search_all(published.TAG_CELEBA, 4, 0)
    assert search.capped
    assert search.all_nodes == sum([511, 130305, 22108415, 2807768705])  # (511 choose k), k <= 4


def test_families_are_what_their_names_say():
    families = load("_families")
    drawn = {name: families.affinity(name, 30, 0) for name in families.FAMILIES}
    assert len(drawn) == 8
    for name, matrix in drawn.items():
        assert matrix.shape == (30, 30)
        assert (matrix == families.affinity(name, 30, 0)).all()
        assert not (matrix == families.affinity(name, 30, 1)).all()
    assert (drawn["positive"] > 0).all()
    assert (drawn["negative"] < 0).all()
    assert (drawn["gauss"].diagonal() == 0).all()
    celeba = drawn["celeba"]
    assert (celeba.diagonal() > 0).all()
    assert (celeba[~np.eye(30, dtype=bool)] < 0).all()


@pytest.mark.slow
def test_small_tables_are_measured_and_written(tmp_path):
    words = ["--part", "table5", "best_group", "--tasks", "5", "--quick", "--family", "blocks"]
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "bench_solvers.py"), *words, "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with (tmp_path / "solvers_table5.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["optimal"] * 4
    assert {row["agree"] for row in rows} == {"yes"}
    with (tmp_path / "solvers_aims.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 3
    assert (tmp_path / "solvers_best_group.md").read_text().startswith("# Grouping solvers")
