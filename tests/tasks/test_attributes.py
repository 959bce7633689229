import pytest
import torch

from mtlrun.tasks.attributes import attribute

SCORES = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.5, -1.0], [0.0, 3.0]])
LABELS = torch.tensor([0, 1, 1, 0])


def test_loss_is_the_cross_entropy_of_two_classes() -> None:
    # By hand: -log softmax of the label's score, mean of log(1 + exp(other - own)).
    other_less_own = torch.tensor([-2.0, -1.0, 1.5, 3.0])
    expected = torch.log1p(other_less_own.exp()).mean()
    torch.testing.assert_close(attribute("a").loss(SCORES, LABELS), expected)


def test_error_is_percent_and_accuracy_a_share() -> None:
    metrics = {name: make() for name, make in attribute("a").metrics.items()}
    assert list(metrics) == ["error", "accuracy"]
    for rows in (slice(0, 3), slice(3, 4)):
        for metric in metrics.values():
            metric.update(SCORES[rows], LABELS[rows])
    assert float(metrics["error"].compute()) == 50
    assert float(metrics["accuracy"].compute()) == 0.5


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[B, 2\].*Found \[4, 1\] and \[4\]"):
        attribute("a").loss(SCORES[:, :1], LABELS)
    with pytest.raises(ValueError, match=r"Found \[4, 2\] and \[4, 1\]"):
        attribute("a").loss(SCORES, LABELS[:, None])
