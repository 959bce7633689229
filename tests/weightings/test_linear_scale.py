import pytest
import torch

from mtlrun.weightings.linear_scale import LinearScale
from tests.weightings.oracles import set_up

LOSSES = torch.tensor([2.0, 4.0, 0.5], dtype=torch.float64)


def test_plain_losses_are_summed_with_the_given_weights() -> None:
    weighting = set_up(LinearScale(task_weights={"b": 3.0}), 3)
    assert weighting.weights(LOSSES).tolist() == [1.0, 3.0, 1.0]


def test_a_group_need_not_have_all_tasks_that_are_weighed() -> None:
    weighting = LinearScale(task_weights={"b": 3.0, "d": 2.0})
    weighting.check(["a", "b", "c", "d"])
    assert set_up(weighting, 3).weights(LOSSES).tolist() == [1.0, 3.0, 1.0]


def test_losses_over_their_first_value_begin_alike() -> None:
    weighting = set_up(LinearScale(scale="initial"), 3)
    assert (weighting.weights(LOSSES) * LOSSES).tolist() == [1.0, 1.0, 1.0]
    later = torch.tensor([1.0, 1.0, 0.5], dtype=torch.float64)
    assert (weighting.weights(later) * later).tolist() == [0.5, 0.25, 1.0]


def test_logarithms_do_not_see_a_scale() -> None:
    weighting = set_up(LinearScale(scale="log"), 3)
    scales = torch.tensor([1e-6, 1.0, 1e6], dtype=torch.float64)
    one, other = weighting.weights(LOSSES), weighting.weights(scales * LOSSES)
    torch.testing.assert_close(one, scales * other, rtol=1e-12, atol=0)


def test_a_negative_loss_is_named() -> None:
    weighting = set_up(LinearScale(scale="log"), 3)
    with pytest.raises(ValueError, match=r"-0\.5 for task `c`"):
        weighting.weights(torch.tensor([1.0, 2.0, -0.5]))
