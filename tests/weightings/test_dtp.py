import pytest
import torch

from mtlrun.weightings.dtp import DTP, focus
from tests.weightings.oracles import set_up


def test_the_focal_weight_by_hand() -> None:
    # -(1 - 0.5)^2 ln 0.5 = 0.173287
    assert float(focus(torch.tensor(0.5), 2.0)) == pytest.approx(0.173287, abs=1e-6)
    assert float(focus(torch.tensor(1.0), 1.0)) == 0
    assert focus(torch.tensor([0.9, 0.5, 0.1, 1e-30]), 1.0).diff().gt(0).all()
    assert torch.isfinite(focus(torch.tensor(0.0), 1.0))


def test_the_likelihood_is_averaged() -> None:
    weighting = set_up(DTP(gamma=0.0, average=0.25), 1)
    losses = torch.tensor([2.0], dtype=torch.float64)
    assert float(weighting.weights(losses)) == pytest.approx(2.0)  # -ln exp(-2)
    level = 0.75 * torch.exp(-losses) + 0.25 * torch.exp(-torch.tensor(0.5))
    found = weighting.weights(torch.tensor([0.5], dtype=torch.float64))
    assert float(found) == pytest.approx(float(-level.log()))


def test_the_task_with_the_larger_loss_weighs_more() -> None:
    weights = set_up(DTP(), 2).weights(torch.tensor([0.1, 3.0]))
    assert weights[1] > weights[0] > 0


def test_progress_counts_how_much_a_loss_falls() -> None:
    weighting = set_up(DTP(measure="progress", gamma=0.0, average=1.0), 3)
    assert weighting.weights(torch.tensor([1.0, 1.0, 1.0])).tolist() == [1.0, 1.0, 1.0]
    found = weighting.weights(torch.tensor([0.5, 1.0, 2.0]))
    assert found.tolist() == pytest.approx([0.693147, 0.0, 0.0], abs=1e-6)


@pytest.mark.parametrize("average", [0.1, 1.0])
def test_a_steady_fall_has_one_weight_whatever_the_average(average: float) -> None:
    weighting = set_up(DTP(measure="progress", average=average), 1)
    found = [float(weighting.weights(torch.tensor([0.9**step]).double())) for step in range(5)]
    # -(1 - 0.9) ln 0.9 = 0.0105361
    assert found == pytest.approx([1.0] + 4 * [0.0105361], abs=1e-7)


def test_the_ratios_are_averaged() -> None:
    weighting = set_up(DTP(measure="progress", gamma=0.0, average=0.25), 1)
    for loss in (1.0, 0.5, 2.0):
        found = weighting.weights(torch.tensor([loss]).double())
    # -ln(0.75 * 0.5 + 0.25 * 1) = 0.470004
    assert float(found) == pytest.approx(0.470004, abs=1e-6)


def test_the_average_should_be_a_share() -> None:
    with pytest.raises(ValueError, match=r"weighting\.average"):
        DTP(average=0.0)
