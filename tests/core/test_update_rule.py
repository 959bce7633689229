"""What every update rule inherits."""

from pathlib import Path

import pytest
import torch

from mtlrun.core.method import DivergedError, StepSettings
from mtlrun.networks.hard_sharing import HardSharing
from mtlrun.updates.joint import Joint
from mtlrun.weightings.equal import Equal
from tests.toy import ToyBackbone, ToyData, toy_setup


@pytest.mark.parametrize(
    ("part", "message"),
    [("heads.b", "task `b` should be"), ("backbone", "the shared parameters should be")],
)
def test_a_gradient_that_is_not_finite_is_named(tmp_path: Path, part: str, message: str) -> None:
    data, setup = ToyData(), toy_setup(tmp_path)
    model = HardSharing(ToyBackbone(data.inputs), data.tasks, seed=0)
    rule = Joint(Equal())
    rule.setup(model, data.tasks, setup.make_optimizer, StepSettings())
    before = [p.detach().clone() for p in model.parameters()]
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    next(model.get_submodule(part).parameters()).grad[0] = float("inf")  # type: ignore[index]
    with pytest.raises(DivergedError, match=message):
        rule.move(rule.optimizers[0])
    assert all(map(torch.equal, before, model.parameters()))
