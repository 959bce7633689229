"""From a checked configuration to a run's setup."""

from pathlib import Path

import pytest
import torch
from torch import nn

from mtlrun._config_check import ConfigError
from mtlrun.config import build, compose
from mtlrun.core.data import DataError, InputSpec
from mtlrun.core.identity import identity_of
from mtlrun.engine.settings import TrainerSettings
from tests.config import fakes


def test_setup_holds_what_was_configured(conf: Path) -> None:
    words = ["data=b", "seed=3", "trainer=smoke", "phase=collect", "optimizer=adam"]
    setup = build(compose(words, conf=conf))
    assert isinstance(setup.data, fakes.Data)
    assert setup.data.size == 5
    assert setup.trainer == TrainerSettings(epochs=1, batch_size=4, log_every=1)
    assert (setup.seed, setup.phase, setup.store) == (3, "collect", Path("out/store"))
    assert setup.logger is None
    assert setup.choices["recipe"] == "b"
    assert set(setup.set_keys) == {"data", "seed", "trainer", "phase", "optimizer"}
    backbone = setup.make_backbone(InputSpec("vector", (3,)))
    assert isinstance(backbone, fakes.WideBackbone)
    assert backbone.inputs.shape == (3,)
    assert setup.make_weighting() is not setup.make_weighting()


@pytest.mark.parametrize("word", ["store=off", "store=false", "store=null"])
def test_store_can_be_switched_off(conf: Path, word: str) -> None:
    assert build(compose([word], conf=conf)).store is None


def test_optimizer_is_fused_where_nothing_else_is_said(conf: Path) -> None:
    parameters = [nn.Parameter(torch.zeros(2))]
    make = build(compose(["optimizer.lr=0.25"], conf=conf)).make_optimizer
    optimizer = make(parameters)
    assert isinstance(optimizer, torch.optim.Adam)
    assert optimizer.defaults["fused"] is True
    assert optimizer.defaults["lr"] == 0.25
    assert identity_of(make)["fused"] is None
    plain = build(compose(["optimizer.fused=false"], conf=conf)).make_optimizer(parameters)
    assert plain.defaults["fused"] is False
    sgd = build(compose(["optimizer=sgd"], conf=conf)).make_optimizer(parameters)
    assert sgd.defaults["momentum"] == 0.9


def test_data_errors_pass(conf: Path) -> None:
    with pytest.raises(DataError, match="column OT"):
        build(compose(["data=broken"], conf=conf))


def test_files_to_start_from_must_exist(conf: Path) -> None:
    with pytest.raises(ConfigError, match=r"`plan` should be a file\. Found no `nowhere.json`"):
        build(compose(["plan=nowhere.json"], conf=conf))


def test_refusal_of_a_backbone_names_its_settings(conf: Path) -> None:
    setup = build(compose(["backbone.width=0"], conf=conf))
    with pytest.raises(ConfigError, match="In `backbone`: `width` should be at least 1"):
        setup.make_backbone(InputSpec("vector", (3,)))


@pytest.mark.parametrize("method", ["single_task", "dsmtl_al", "selective"])
@pytest.mark.parametrize("word", ["weighting=uw", "weighting.reduction=mean"])
def test_a_weighting_without_a_joint_training_is_refused(method: str, word: str) -> None:
    message = rf"should be used with a method that trains tasks jointly.*method={method}"
    with pytest.raises(ConfigError, match=message):
        compose([f"method={method}", word])
    compose([f"method={method}", "weighting=equal"])
    compose(["method=hps", word])
