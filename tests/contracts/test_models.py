"""What every backbone keeps, whatever it reads: parts that add up, stages that compose, heads that fit."""

import copy
from collections.abc import Iterator
from functools import lru_cache

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MeanAbsoluteError

from mtlrun._catalogue import options
from mtlrun.config import compose
from mtlrun.core.data import InputSpec
from mtlrun.core.model import Backbone
from mtlrun.core.task import Output, Task
from mtlrun.data.ettm1 import ETTm1
from mtlrun.networks.hard_sharing import HardSharing

LARGE = {"vit_large"}  # 300 million parameters: seconds and gigabytes
BACKBONES = [
    pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name
    for name in options("backbone")
]
SPECS = {
    "image": InputSpec("image", (3, 32, 48)),
    "series": ETTm1().inputs,
    "vector": InputSpec("vector", (7,)),
}
OUTPUTS = (
    Output("vector", 4),
    Output("dense", 3),
    Output("dense", 1),
    Output("sequence", 1),
    Output("sequence", 3),
)


@lru_cache
def built(name: str, kind: str) -> Backbone | None:
    """The backbone as configured, in evaluation mode; None if it does not read the kind of inputs."""
    factory = compose([f"backbone={name}"]).factories["backbone"]
    torch.manual_seed(0)
    try:
        backbone = factory(SPECS[kind])
    except ValueError as error:
        refusal = str(error)
    else:
        assert isinstance(backbone, Backbone)
        return backbone.eval()
    assert "backbone=" in refusal, "a refusal should name a backbone that fits"
    return None


def supported(name: str) -> Iterator[tuple[InputSpec, Backbone]]:
    """The kinds of inputs that a backbone reads, and the backbone that reads them."""
    for kind, spec in SPECS.items():
        backbone = built(name, kind)
        if backbone is not None:
            yield spec, backbone


def outputs_of(backbone: Backbone) -> list[Output]:
    """Those that the backbone has a head for."""
    found = []
    for output in OUTPUTS:
        try:
            backbone.make_head(output)
        except ValueError as error:
            refusal = str(error)
        else:
            found.append(output)
            continue
        assert "backbone=" in refusal, "a refusal should name a backbone that fits"
    return found


def hard_sharing(backbone: Backbone) -> HardSharing:
    """A model with a task for every output that the backbone has a head for."""
    tasks = [
        Task(f"t{k}", output, F.mse_loss, {"mae": MeanAbsoluteError}, {"mae": False})
        for k, output in enumerate(outputs_of(backbone))
    ]
    return HardSharing(backbone, tasks, seed=0).eval()


def example(spec: InputSpec, size: int = 2) -> Tensor:
    return torch.randn(size, *spec.shape, generator=torch.Generator().manual_seed(1))


def shape_of(output: Output, spec: InputSpec) -> tuple[int, ...]:
    """Of the prediction for one example, as tasks take it."""
    if output.kind == "dense":
        return output.channels, *spec.shape[1:]
    if output.kind == "sequence":
        own = () if output.channels == 1 else (output.channels,)
        return spec.details["pred_len"], *own
    return (output.channels,)


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_reads_something_and_has_a_head_for_it(name: str) -> None:
    found = list(supported(name))
    assert found
    for spec, backbone in found:
        assert outputs_of(backbone), spec.kind


@pytest.mark.parametrize("name", BACKBONES)
def test_shared_and_task_parameters_are_all_without_overlap(name: str) -> None:
    for spec, backbone in supported(name):
        model = hard_sharing(backbone)
        parts = [model.shared_parameters(), *(model.task_parameters(t.name) for t in model.tasks)]
        assert all(parts), spec.kind
        found = [id(p) for part in parts for p in part]
        assert len(found) == len(set(found)), spec.kind
        assert set(found) == {id(p) for p in model.parameters()}, spec.kind


@pytest.mark.parametrize("name", BACKBONES)
def test_stages_and_merge_are_the_forward_pass(name: str) -> None:
    for spec, backbone in supported(name):
        hidden, outputs = example(spec), []
        assert len(backbone.stages) > 1, spec.kind
        with torch.no_grad():
            for stage in backbone.stages:
                hidden = stage(hidden)
                outputs.append(hidden)
            torch.testing.assert_close(
                backbone.merge(outputs), backbone(example(spec)), rtol=0, atol=0
            )


@pytest.mark.parametrize("name", BACKBONES)
def test_the_last_shared_layer_has_weights_of_the_encoder(name: str) -> None:
    for spec, backbone in supported(name):
        own = {id(p) for p in backbone.last_shared_layer().parameters()}
        assert own, spec.kind
        assert own <= {id(p) for p in backbone.stages.parameters()}, spec.kind


@pytest.mark.parametrize("name", BACKBONES)
def test_heads_give_the_declared_shapes(name: str) -> None:
    for spec, backbone in supported(name):
        model = hard_sharing(backbone)
        with torch.no_grad():
            predictions = model(example(spec), [task.name for task in model.tasks])
        for task in model.tasks:
            found = tuple(predictions[task.name].shape)
            assert found == (2, *shape_of(task.output, spec)), (spec.kind, task.output)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_trained_parameter_is_reached_by_a_loss(name: str) -> None:
    for spec, backbone in supported(name):
        model = hard_sharing(backbone)
        predictions = model(example(spec), [task.name for task in model.tasks])
        total = torch.stack([p.square().mean() for p in predictions.values()]).sum()
        names, parameters = zip(*model.named_parameters(), strict=True)
        found = torch.autograd.grad(total, parameters, allow_unused=True)
        lost = [n for n, gradient in zip(names, found, strict=True) if gradient is None]
        assert not lost, (spec.kind, lost)


@pytest.mark.parametrize("name", BACKBONES)
def test_examples_do_not_mix_in_evaluation(name: str) -> None:
    for spec, backbone in supported(name):
        model = copy.deepcopy(hard_sharing(backbone)).double()
        inputs, names = example(spec, 3).double(), [task.name for task in model.tasks]
        with torch.no_grad():
            together, alone = model(inputs, names), model(inputs[1:2], names)
        for task in names:
            torch.testing.assert_close(together[task][1:2], alone[task], rtol=1e-9, atol=1e-9)
