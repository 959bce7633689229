import pytest
import torch
from torchjd.aggregation import GradDrop as Oracle

from mtlrun.weightings.graddrop import GradDrop, uniform_
from tests.weightings.oracles import EDGES, made, rows, set_up


@pytest.mark.parametrize("leak", [0.0, 0.3])
@pytest.mark.parametrize("num_tasks", [1, 2, 5])
def test_torchjd_s_result_from_the_same_draws(
    num_tasks: int, leak: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    gradients = rows(num_tasks, size=200, spread=1.0)
    ours = set_up(made(GradDrop, leak=leak), num_tasks)
    generator = torch.Generator().manual_seed(ours.generator.initial_seed())
    drawn = uniform_(torch.empty(200, dtype=torch.float64), generator)
    monkeypatch.setattr(torch, "rand", lambda *_, **__: (drawn + 1) / 2)
    expected = Oracle(leak=torch.full((num_tasks,), leak, dtype=torch.float64))(gradients)
    torch.testing.assert_close(ours.aggregate(gradients), expected, rtol=1e-12, atol=1e-12)


def test_gradients_of_one_sign_are_summed() -> None:
    gradients = rows(4).abs()
    torch.testing.assert_close(
        set_up(made(GradDrop), 4).aggregate(iter(gradients)), gradients.sum(0), rtol=1e-14, atol=0
    )


def test_the_mean_over_draws_is_that_of_the_purities() -> None:
    gradients = torch.tensor([[3.0], [-1.0]], dtype=torch.float64).expand(2, 20_000)
    found = set_up(made(GradDrop), 2).aggregate(gradients)
    # P = (1 + 2 / 4) / 2 = 3/4: 3 with probability 3/4, else -1.
    assert sorted(set(found.tolist())) == [-1.0, 3.0]
    assert float(found.mean()) == pytest.approx(2.0, abs=0.05)


def test_features_are_weighed_by_the_drawn_sign() -> None:
    gradients = rows(3, size=50)
    weights = set_up(made(GradDrop), 3).feature_weights(gradients)
    aggregated = set_up(made(GradDrop), 3).aggregate(gradients)
    torch.testing.assert_close((weights * gradients).sum(0), aggregated, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", EDGES)
def test_edge_cases(name: str) -> None:
    gradients = EDGES[name]
    found = set_up(made(GradDrop), len(gradients)).aggregate(gradients)
    assert found.isfinite().all()
    if name in ("alike", "one", "all zero"):
        torch.testing.assert_close(found, gradients.sum(0))


def test_draws_are_uniform() -> None:
    drawn = uniform_(torch.empty(100_003), torch.Generator().manual_seed(0))
    assert -1 < float(drawn.min()) < -0.999
    assert 0.999 < float(drawn.max()) < 1
    expected = torch.full((20,), 1 / 20)
    shares = torch.histc(drawn, 20, -1, 1) / len(drawn)
    torch.testing.assert_close(shares, expected, rtol=0, atol=0.004)
    for k in range(4):  # every place in a word of four
        assert abs(float(drawn[k::4].mean())) < 0.012
