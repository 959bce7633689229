"""Models of finished runs: they predict as they did when the run ended."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from mtlrun._config_check import ConfigError
from mtlrun.config import build, compose, setup_of
from mtlrun.core.method import Method, StepSettings
from mtlrun.engine.evaluate import evaluate
from mtlrun.engine.loader import EvalLoader
from mtlrun.engine.pipeline import run
from mtlrun.engine.settings import RunSetup
from mtlrun.engine.trained import trained_models
from mtlrun.methods.dsmtl_il import DSMTLIL
from mtlrun.methods.hps import HPS
from mtlrun.methods.random import Random
from mtlrun.methods.single_task import SingleTask
from tests.toy import ToyBackbone, toy_setup

PLAIN = partial(ToyBackbone, dropout=0.1)


def same_scores(setup: RunSetup, result: Any) -> bool:
    """Whether every group's model scores on the test split what its training did."""
    told = {frozenset(own["tasks"]): own["scores"]["test"] for own in result["trainings"]}
    models = trained_models(setup)
    assert models
    for group, model in models.items():
        assert not model.training
        size = setup.trainer.eval_batch_size or setup.trainer.batch_size
        batches = EvalLoader(setup.data.split("test"), batch_size=size, max_batches=None)
        tasks = [task for task in setup.data.tasks if task.name in group.tasks]
        found = evaluate(model, tasks, batches.batches(), StepSettings())
        if found != told[frozenset(group.tasks)]:
            return False
    return True


@pytest.mark.parametrize(
    "method",
    [HPS(), SingleTask(), DSMTLIL(), Random(num_draws=2)],
    ids=lambda method: type(method).__name__,
)
def test_models_score_as_they_did(method: Method, tmp_path: Path) -> None:
    setup = toy_setup(tmp_path, method=method, make_backbone=PLAIN)
    result = run(setup).result
    state = torch.get_rng_state()
    for path in (tmp_path / "store").rglob("*.pt"):
        path.unlink()  # the run's folder is enough
    assert same_scores(setup, result)
    assert torch.equal(torch.get_rng_state(), state)
    assert (setup.folder / "result.json").is_file()


def test_a_run_is_rebuilt_from_its_folder(tmp_path: Path) -> None:
    words = [
        "method=vmtl", "trainer.epochs=4", "method.num_test=2", f"folder={tmp_path / 'run'}",
        f"store={tmp_path / 'store'}", "trainer.device=cpu", "data.num_classes=3",
    ]  # fmt: skip
    result = run(build(compose(words))).result
    moved = (tmp_path / "run").rename(tmp_path / "moved")
    setup = setup_of(moved)
    assert setup.folder == moved
    assert setup.config["method"] == result["config"]["method"]
    assert same_scores(setup, result)


def test_an_unfinished_run_and_a_folder_of_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Found no config.yaml"):
        setup_of(tmp_path)
    with pytest.raises(ValueError, match=r"Found no result.json"):
        trained_models(toy_setup(tmp_path))
