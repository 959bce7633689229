"""The benchmark of variational methods: what it times trains, and its table is whole."""

import importlib
from pathlib import Path

import pytest
import torch

pytest.importorskip("torchjd")
SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    found = importlib.import_module("bench_vmtl")
    monkeypatch.setitem(found.WORKS, "office_caltech", (8, 3))
    return found


@pytest.mark.parametrize("method", ["vmtl", "vmtl_ac", "vbmtl"])
def test_a_timed_step_trains_past_the_simple_priors(script, method):
    work = script.Work("office_caltech", "cpu", "per_task")
    step, model = work.make(script.METHODS[method](num_z=2, num_w=2))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    out = step()
    still = {name for name, p in model.named_parameters() if torch.equal(before[name], p)}
    assert all(name.startswith("mixing.w") for name in still)  # the weight of KL(w) is 0 as yet
    assert all(f"kl_z/{name}" in out.scalars for name in work.names)
    assert model.prior == ("normal" if method == "vbmtl" else "gumbel")


def test_the_table_has_a_row_for_every_number_of_draws(script, tmp_path):
    script.main(
        ["--work", "office_caltech", "--only", "vmtl", "--draws", "1", "10", "--quick",
         "--threads", "1", "--no-memory", "--out", str(tmp_path)]
    )  # fmt: skip
    header, *rows = (tmp_path / "vmtl_cost.csv").read_text().splitlines()
    assert "x bmtl" in header
    assert [row.split(",")[2] for row in rows] == ["1", "10"]
    assert all(",2.45," in row or ",3.05," in row for row in rows)
