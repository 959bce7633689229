import torch

from mtlrun.weightings.rlw import RLW
from tests.weightings.oracles import made


def test_weights_are_drawn_anew_and_sum_to_one() -> None:
    weighting = made(RLW)
    draws = torch.stack([weighting.weights(torch.zeros(3)) for _ in range(2000)])
    torch.testing.assert_close(draws.sum(1), torch.ones(2000))
    assert (draws > 0).all()
    assert len(draws.unique(dim=0)) == 2000
    torch.testing.assert_close(draws.mean(0), torch.full((3,), 1 / 3), rtol=0, atol=0.02)


def test_a_seed_decides_the_draws_and_no_other_generator_moves() -> None:
    state = torch.get_rng_state()
    one, other = (made(RLW).weights(torch.zeros(3)) for _ in range(2))
    assert torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)
