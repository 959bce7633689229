"""Losses and metrics of dense tasks against numbers computed by hand and by numpy."""

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from mtlrun.core.task import Metric, Task
from mtlrun.tasks.boundaries import boundaries
from mtlrun.tasks.depth import depth
from mtlrun.tasks.edges import edges
from mtlrun.tasks.keypoints import keypoints
from mtlrun.tasks.normals import normals
from mtlrun.tasks.saliency import saliency
from mtlrun.tasks.segmentation import segmentation

C = 4
TASKS = [
    segmentation(num_classes=C),
    depth(),
    normals(),
    edges(),
    keypoints(),
    saliency(),
    boundaries(),
]
MARKED_NAN = {"edges", "keypoints", "saliency", "boundaries"}


def _examples(task: Task, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Six examples, some pixels of which are invalid."""
    g = torch.Generator().manual_seed(seed)
    prediction = torch.randn(6, task.output.channels, 5, 7, generator=g)
    invalid = torch.rand(6, 1, 5, 7, generator=g) < 0.3
    if task.name == "segmentation":
        labels = torch.randint(0, C, (6, 5, 7), generator=g)
        return prediction, labels.masked_fill(invalid[:, 0], 255)
    target = torch.rand(prediction.shape, generator=g) + 0.1
    return prediction, target.masked_fill(invalid, _invalid(task))


def _invalid(task: Task) -> float:
    return torch.nan if task.name in MARKED_NAN else {"segmentation": 255}.get(task.name, 0)


def _measure(make: Callable[[], Metric], *batches: tuple[Tensor, Tensor]) -> float:
    metric = make()
    for prediction, target in batches:
        metric.update(prediction, target)
    return float(metric.compute())


def _metric(task: Task, name: str, prediction: Tensor, target: Tensor) -> float:
    return _measure(task.metrics[name], (prediction, target))


METRICS = [(task, name) for task in TASKS for name in task.metrics]
IDS = [f"{task.name}-{name}" for task, name in METRICS]


@pytest.mark.parametrize(("task", "name"), METRICS, ids=IDS)
def test_metrics_do_not_depend_on_how_a_set_is_cut(task: Task, name: str) -> None:
    prediction, target = _examples(task)
    whole = _metric(task, name, prediction, target)
    cuts = list(zip(prediction.split([1, 3, 2]), target.split([1, 3, 2]), strict=True))
    assert _measure(task.metrics[name], *cuts) == pytest.approx(whole, rel=1e-8)


@pytest.mark.parametrize(("task", "name"), METRICS, ids=IDS)
def test_directions_are_those_of_the_metrics(task: Task, name: str) -> None:
    assert task.metrics[name]().higher_is_better is task.directions[name]


@pytest.mark.parametrize(("task", "name"), METRICS, ids=IDS)
def test_a_metric_without_valid_pixels_is_not_a_number(task: Task, name: str) -> None:
    prediction, target = _examples(task)
    assert np.isnan(_metric(task, name, prediction, torch.full_like(target, _invalid(task))))


@pytest.mark.parametrize(("task", "name"), METRICS, ids=IDS)
def test_metrics_take_inference_mode(task: Task, name: str) -> None:
    prediction, target = _examples(task)
    metric = copy.deepcopy(task.metrics[name]())
    with torch.inference_mode():
        metric.update(prediction, target)
        metric.update(prediction, target)
    assert float(metric.compute()) == pytest.approx(_metric(task, name, prediction, target))


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_loss_without_valid_pixels_is_zero_with_a_gradient_of_zeros(task: Task) -> None:
    prediction, target = _examples(task)
    prediction.requires_grad_()
    loss = task.loss(prediction, torch.full_like(target, _invalid(task)))
    loss.backward()
    assert loss == 0
    assert prediction.grad is not None
    assert torch.equal(prediction.grad, torch.zeros_like(prediction))


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_invalid_pixels_have_no_part_in_a_loss(task: Task) -> None:
    prediction, target = _examples(task)
    prediction.requires_grad_()
    task.loss(prediction, target).backward()
    assert prediction.grad is not None
    assert prediction.grad.isfinite().all()
    if task.name == "segmentation":
        valid = (target != 255)[:, None]
    else:
        valid = ((target != 0) & ~target.isnan()).any(dim=1, keepdim=True)
    assert (prediction.grad.abs().sum(dim=1, keepdim=True) > 0).equal(valid)


@pytest.mark.parametrize("task", [depth(), normals(), normals(loss="l1")])
def test_depth_and_normals_that_are_not_a_number_count_as_0(task: Task) -> None:
    prediction, marked_0 = _examples(task)
    prediction.requires_grad_()
    marked_nan = marked_0.clone()
    invalid = (marked_0 == 0).all(dim=1)
    marked_nan[:, -1][invalid] = torch.nan  # one channel is enough
    marked_nan[:, 0][invalid] = torch.nan if task.output.channels == 1 else 1
    gradients = []
    for target in (marked_0, marked_nan):
        (own,) = torch.autograd.grad(task.loss(prediction, target), prediction)
        gradients.append(own)
    assert gradients[0].isfinite().all()
    assert torch.equal(*gradients)
    for name in task.metrics:
        found = (_metric(task, name, prediction.detach(), t) for t in (marked_0, marked_nan))
        assert len(set(found)) == 1, name


@pytest.mark.parametrize("task", TASKS[1:], ids=lambda task: task.name)
def test_shapes_that_would_broadcast_are_refused(task: Task) -> None:
    prediction, target = _examples(task)
    with pytest.raises(ValueError, match="should have the targets' shape"):
        task.loss(prediction, target[:, 0])


def test_segmentation_by_hand() -> None:
    labels = torch.tensor([[[0, 0, 1, 1, 255]]])
    scores = torch.nn.functional.one_hot(torch.tensor([[[0, 1, 1, 1, 2]]]), C)
    scores = scores.permute(0, 3, 1, 2).float()
    task = segmentation(num_classes=C)
    assert _metric(task, "miou", scores, labels) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert _metric(task, "pixel_accuracy", scores, labels) == pytest.approx(3 / 4)
    right, wrong = np.log(np.e + 3) - 1, np.log(np.e + 3)
    assert float(task.loss(scores, labels)) == pytest.approx((3 * right + wrong) / 4, rel=1e-6)


def test_segmentation_equals_counting_with_numpy() -> None:
    scores, labels = (x.numpy() for x in _examples(TASKS[0]))
    found, valid = scores.argmax(1), labels != 255
    ious = []
    for c in range(C):
        both = ((found == c) & (labels == c) & valid).sum()
        either = (((found == c) | (labels == c)) & valid).sum()
        ious.append(both / either)
    examples = torch.from_numpy(scores), torch.from_numpy(labels)
    assert _metric(TASKS[0], "miou", *examples) == pytest.approx(np.mean(ious), rel=1e-12)
    accuracy = (found == labels)[valid].mean()
    assert _metric(TASKS[0], "pixel_accuracy", *examples) == pytest.approx(accuracy, rel=1e-12)


def test_segmentation_takes_other_ignored_labels() -> None:
    task = segmentation("parts", num_classes=2, ignore_index=-1)
    scores = torch.tensor([[[[2.0, 2.0]], [[0.0, 0.0]]]])
    assert _metric(task, "pixel_accuracy", scores, torch.tensor([[[0, -1]]])) == 1
    assert task.name == "parts"


def test_segmentation_names_labels_that_are_no_class() -> None:
    with pytest.raises(ValueError, match=r"0\.\.3 or 255.*Found labels 0\.\.9"):
        _metric(TASKS[0], "miou", torch.zeros(1, C, 1, 2), torch.tensor([[[0, 9]]]))


@pytest.mark.parametrize(("num_classes", "ignore_index"), [(1, 255), (4, 3)])
def test_segmentation_refuses_impossible_classes(num_classes: int, ignore_index: int) -> None:
    with pytest.raises(ValueError, match="num_classes"):
        segmentation(num_classes=num_classes, ignore_index=ignore_index)


def test_depth_by_hand() -> None:
    target = torch.tensor([2.0, 4.0, 0.0]).view(1, 1, 1, 3)
    prediction = torch.tensor([3.0, 1.0, 9.0]).view(1, 1, 1, 3)
    assert float(depth().loss(prediction, target)) == 2
    assert _metric(depth(), "abs_error", prediction, target) == 2
    assert _metric(depth(), "rel_error", prediction, target) == pytest.approx((1 / 2 + 3 / 4) / 2)
    assert _metric(depth(), "rmse", prediction, target) == pytest.approx(5**0.5)


def _turned(degrees: list[float]) -> Tensor:
    """[1, 3, 1, N] unit vectors turned from the z axis."""
    angle = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angle.sin(), 0 * angle, angle.cos()])[None, :, None].float()


def test_normals_by_hand() -> None:
    degrees = [0.0, 5.0, 20.0, 25.0, 45.0, 180.0]
    target = _turned([0.0] * 6)
    prediction = 3 * _turned(degrees)  # lengths do not count
    task = normals()
    found = {name: _metric(task, name, prediction, target) for name in task.metrics}
    assert found["mean_angle"] == pytest.approx(np.mean(degrees), abs=1e-4)
    assert found["median_angle"] == pytest.approx(22.5, abs=5e-4)
    assert found["within_11"] == pytest.approx(2 / 6)
    assert found["within_22"] == pytest.approx(3 / 6)
    assert found["within_30"] == pytest.approx(4 / 6)
    loss = 1 - np.cos(np.deg2rad(degrees)).mean()
    assert float(task.loss(prediction, target)) == pytest.approx(loss, abs=1e-6)


def test_the_absolute_error_of_normals_by_hand() -> None:
    prediction = torch.tensor([[0.0, 3, 4], [2, 0, 0], [5, 5, 5]]).T.reshape(1, 3, 1, 3)
    target = torch.tensor([[0.0, 0, 7], [0, 9, 0], [0, 0, 0]]).T.reshape(1, 3, 1, 3)
    # |(0, .6, .8) - (0, 0, 1)| = .8 and |(1, 0, 0) - (0, 1, 0)| = 2; the third counts nowhere.
    loss = normals(loss="l1").loss(prediction.double(), target.double())
    torch.testing.assert_close(loss, torch.tensor(1.4).double(), rtol=1e-7, atol=0)
    with pytest.raises(ValueError, match="cosine or l1"):
        normals(loss="l3")  # type: ignore[arg-type]  # a user's mistake


def test_tiny_angles_are_exact() -> None:
    found = _metric(normals(), "mean_angle", _turned([0.001]), _turned([0.0]))
    assert found == pytest.approx(0.001, rel=1e-3)


def test_a_prediction_of_zeros_is_90_degrees_off() -> None:
    assert _metric(normals(), "mean_angle", torch.zeros(1, 3, 1, 1), _turned([10.0])) == 90


def test_within_is_strict() -> None:
    from mtlrun.tasks._pooled import PooledShare

    metric = PooledShare(lambda p, t: ((p < 11.25).float(), t == t))
    metric.update(torch.tensor([11.25, 11.24]), torch.zeros(2))
    assert metric.compute() == 0.5


@pytest.mark.parametrize("number", [1, 2, 999, 1000])
def test_the_median_is_that_of_all_pixels(number: int) -> None:
    g = torch.Generator().manual_seed(number)
    vectors = [torch.randn(1, 3, 1, number, generator=g) for _ in range(2)]
    unit = [(v / v.norm(dim=1, keepdim=True)).double()[0, :, 0].numpy() for v in vectors]
    expected = np.median(np.degrees(np.arccos((unit[0] * unit[1]).sum(0).clip(-1, 1))))
    assert _metric(normals(), "median_angle", *vectors) == pytest.approx(expected, abs=5e-4)


def test_the_median_of_what_is_not_a_number_is_not_a_number() -> None:
    nothing = torch.full((1, 3, 1, 1), torch.nan)
    assert np.isnan(_metric(normals(), "median_angle", nothing, _turned([1.0])))


@pytest.mark.parametrize("task", [edges(), keypoints()], ids=lambda task: task.name)
def test_maps_by_hand(task: Task) -> None:
    target = torch.tensor([0.0, 0.5, torch.nan]).view(1, 1, 1, 3)
    prediction = torch.tensor([0.25, 0.25, 9.0]).view(1, 1, 1, 3)
    assert float(task.loss(prediction, target)) == 0.25
    assert _metric(task, "abs_error", prediction, target) == 0.25


def _measure_half(rank: int, folder: str) -> None:
    os.environ["LOCAL_RANK"] = str(rank)
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    found = {}
    for task, name in METRICS:
        prediction, target = _examples(task)
        half = slice(0, 4) if rank == 0 else slice(4, 6)
        metric = task.metrics[name]()
        metric.update(prediction[half], target[half])
        found[f"{task.name}-{name}"] = float(metric.compute())
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_measure_what_one_does(tmp_path: Path) -> None:
    context = get_context("spawn")
    processes = [context.Process(target=_measure_half, args=(r, str(tmp_path))) for r in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    expected = {
        f"{task.name}-{name}": _metric(task, name, *_examples(task)) for task, name in METRICS
    }
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert found == pytest.approx(expected, rel=1e-8)


def test_tasks_are_made_without_torchmetrics() -> None:
    code = (
        "import sys\n"
        "from mtlrun.tasks import boundaries, depth, edges, human_parts, keypoints, normals\n"
        "from mtlrun.tasks import saliency, segmentation\n"
        "depth.depth(), edges.edges(), keypoints.keypoints(), normals.normals()\n"
        "boundaries.boundaries(), human_parts.human_parts(), saliency.saliency()\n"
        "segmentation.segmentation(num_classes=2)\n"
        "assert 'torchmetrics' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
