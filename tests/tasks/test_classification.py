import math

import pytest
import torch

from mtlrun.tasks.classification import classification

TASK = classification("dslr", num_classes=3)


def test_even_scores_cost_the_logarithm_of_the_number_of_classes() -> None:
    loss = TASK.loss(torch.zeros(4, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 2]))
    assert float(loss) == pytest.approx(math.log(3), abs=1e-12)


def test_accuracy_is_pooled_over_batches_of_different_sizes() -> None:
    metric = TASK.metrics["accuracy"]()
    scores = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0], [0.0, 3.0, 0.0]])
    metric.update(scores, torch.tensor([0, 2, 0]))
    metric.update(scores[:1], torch.tensor([1]))
    assert float(metric.compute()) == pytest.approx(0.5)  # 2 of 3 and 0 of 1
    assert metric.higher_is_better is TASK.directions["accuracy"] is True


@pytest.mark.parametrize("shape", [(2, 2), (3, 3), (2, 3, 1)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"should be \[B, 3\]"):
        TASK.loss(torch.zeros(shape), torch.tensor([0, 1]))
