"""Saliency, human parts and the pixel error against numbers computed by hand and by numpy."""

import numpy as np
import pytest
import torch
from torch import Tensor

from mtlrun.core.task import Task
from mtlrun.tasks.human_parts import human_parts
from mtlrun.tasks.saliency import saliency
from mtlrun.tasks.segmentation import segmentation


def measure(task: Task, name: str, *batches: tuple[Tensor, Tensor]) -> float:
    metric = task.metrics[name]()
    assert metric.higher_is_better is task.directions[name]
    for prediction, target in batches:
        metric.update(prediction, target)
    return float(metric.compute())


def examples() -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    target = (torch.rand(6, 1, 5, 7, generator=g) < 0.3).float()
    invalid = torch.rand(target.shape, generator=g) < 0.2
    return torch.randn(target.shape, generator=g) + target, target.masked_fill(invalid, torch.nan)


def row(*values: float) -> Tensor:
    return torch.tensor(values).view(1, 1, 1, -1)


def test_max_f_and_miou_equal_counting_with_numpy() -> None:
    logits, target = examples()
    valid = ~target.isnan()
    p, y = torch.sigmoid(logits)[valid].numpy(), target[valid].numpy() > 0.5
    found = []
    for k in range(1, 20):
        both, claimed = (y & (p > k / 20)).sum(), (p > k / 20).sum()
        precision, recall = (both / claimed if claimed else 0), both / y.sum()
        below = 0.3 * precision + recall
        found.append(1.3 * precision * recall / below if below else 0)
    assert measure(saliency(), "max_f", (logits, target)) == pytest.approx(max(found), rel=1e-12)
    q = p > 0.5
    ious = [(q & y).sum() / (q | y).sum(), (~q & ~y).sum() / (~q | ~y).sum()]
    assert measure(saliency(), "miou", (logits, target)) == pytest.approx(np.mean(ious), rel=1e-12)


@pytest.mark.parametrize("name", ["max_f", "miou"])
def test_metrics_do_not_depend_on_how_a_set_is_cut(name: str) -> None:
    logits, target = examples()
    cuts = list(zip(torch.split(logits, [1, 3, 2]), torch.split(target, [1, 3, 2]), strict=True))
    whole = measure(saliency(), name, (logits, target))
    assert measure(saliency(), name, *cuts) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("name", ["max_f", "miou"])
def test_a_metric_without_valid_pixels_is_not_a_number(name: str) -> None:
    logits, target = examples()
    assert np.isnan(measure(saliency(), name, (logits, torch.full_like(target, torch.nan))))


def test_a_perfect_prediction_scores_1_and_an_inverted_one_less() -> None:
    _, target = examples()
    right = 20 * (target.nan_to_num(0) - 0.5)
    assert measure(saliency(), "max_f", (right, target)) == pytest.approx(1, rel=1e-12)
    assert measure(saliency(), "miou", (-right, target)) == 0


def test_loss_gives_both_classes_the_same_weight() -> None:
    # By hand: one positive of four valid pixels weighs 3/4, each of the three others 1/4.
    loss = saliency().loss(row(0.0, 0.0, 0.0, 0.0, 9.0), row(1.0, 0.0, 0.0, 0.0, torch.nan))
    assert float(loss) == pytest.approx((3 / 4 + 3 / 4) * np.log(2) / 4)


def test_a_loss_without_valid_pixels_is_zero_with_a_gradient_of_zeros() -> None:
    logits, target = examples()
    loss = saliency().loss(logits.requires_grad_(), torch.full_like(target, torch.nan))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss == 0
    assert torch.equal(gradient, torch.zeros_like(logits))


def test_invalid_pixels_and_large_logits_leave_the_gradient_finite() -> None:
    logits, target = examples()
    logits = (1e4 * logits).requires_grad_()
    (gradient,) = torch.autograd.grad(saliency().loss(logits, target), logits)
    assert gradient.isfinite().all()
    assert not gradient[target.isnan()].any()


def test_shapes_that_would_broadcast_are_refused() -> None:
    logits, target = examples()
    with pytest.raises(ValueError, match="should have the targets' shape"):
        saliency().loss(logits, target[:, 0])
    with pytest.raises(ValueError, match="should have the targets' shape"):
        measure(saliency(), "max_f", (logits, target[:, 0]))


def test_human_parts_are_seven_classes_measured_by_miou() -> None:
    task = human_parts()
    assert (task.name, task.output.channels, list(task.metrics)) == ("human_parts", 7, ["miou"])
    scores = torch.nn.functional.one_hot(torch.tensor([[[0, 1, 6, 6]]]), 7).permute(0, 3, 1, 2)
    labels = torch.tensor([[[0, 6, 6, 255]]])
    # By hand: class 0 has 1 of 1, class 1 none of 1, class 6 has 1 of 2; the others are nowhere.
    assert measure(task, "miou", (scores.float(), labels)) == pytest.approx(0.5)


def test_pixel_error_is_100_less_the_accuracy_in_percent() -> None:
    task = segmentation(num_classes=3, pixel_error=True)
    assert list(task.metrics) == ["miou", "pixel_error"]
    scores = torch.nn.functional.one_hot(torch.tensor([[[0, 1, 2, 2, 2]]]), 3).permute(0, 3, 1, 2)
    labels = torch.tensor([[[0, 1, 2, 1, 255]]])
    assert measure(task, "pixel_error", (scores.float(), labels)) == pytest.approx(25)
