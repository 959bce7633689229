"""Methods that train groups take every kind of weighting."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch

from mtlrun.affinities.lookahead import LookaheadCollector
from mtlrun.affinities.tag import TAGCollector
from mtlrun.core.method import Method
from mtlrun.engine.pipeline import run
from mtlrun.methods.dsmtl_il import DSMTLIL
from mtlrun.methods.dsmtl_jl import DSMTLJL
from mtlrun.methods.hps import HPS
from mtlrun.methods.lookahead import Lookahead
from mtlrun.methods.tag import TAG
from mtlrun.weightings.linear_scale import LinearScale
from tests.toy import toy_setup
from tests.weightings.oracles import built

METHODS = {
    "dsmtl_jl": DSMTLJL,
    "dsmtl_il": DSMTLIL,
    "tag": lambda: TAG(TAGCollector()),
    "lookahead": lambda: Lookahead(LookaheadCollector(rule="optimizer", heads="all")),
}


@pytest.mark.parametrize("name", ["dwa", "uw", "famo", "imtl", "nash_mtl", "gradnorm", "graddrop"])
@pytest.mark.parametrize("method", METHODS)
def test_a_method_trains_to_its_end(method: str, name: str, tmp_path: Path) -> None:
    made = METHODS[method]()
    assert isinstance(made, Method)
    setup = toy_setup(tmp_path, method=made, make_weighting=partial(built, name))
    result = run(setup).result
    assert set(result["scores"]["test"]) == {"a", "b", "c"}
    logged = [
        json.loads(line) for line in (setup.folder / "metrics.jsonl").read_text().splitlines()
    ]
    assert any("weight/a" in line for line in logged) or name == "graddrop"


def test_a_weight_of_an_unknown_task_is_refused(tmp_path: Path) -> None:
    make = partial(LinearScale, task_weights={"a": 2.0, "depht": 2.0})
    with pytest.raises(ValueError, match=r"of a, b, c\. Found depht\. Set weighting\.task_weights"):
        run(toy_setup(tmp_path, method=HPS(), make_weighting=make))


def test_groups_that_a_solver_chose_are_weighed_too(tmp_path: Path) -> None:
    shared = {"store": tmp_path / "store"}
    plain = run(toy_setup(tmp_path / "plain", method=HPS(), **shared))
    weighed = run(
        toy_setup(tmp_path / "own", method=HPS(), make_weighting=partial(built, "mgda"), **shared)
    )
    keys = [outcome.result["trainings"][0]["key"] for outcome in (plain, weighed)]
    assert keys[0] != keys[1]
    states = [torch.load(tmp_path / "store" / k / "model.pt", weights_only=True) for k in keys]
    assert any(not torch.equal(states[0][name], states[1][name]) for name in states[0])
