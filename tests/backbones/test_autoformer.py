import math

import pytest
import torch
from torch import Tensor, nn

from mtlrun.backbones import _autoformer_layers as layers
from mtlrun.backbones.autoformer import Autoformer
from mtlrun.core.data import InputSpec
from mtlrun.core.seeding import seeded
from mtlrun.core.task import Output
from mtlrun.networks.hard_sharing import HardSharing
from mtlrun.tasks.forecasting import forecasting


def spec(seq_len: int = 24, label_len: int = 12, pred_len: int = 8) -> InputSpec:
    sizes = {"seq_len": seq_len, "label_len": label_len, "pred_len": pred_len}
    return InputSpec("series", (seq_len + pred_len, 5), sizes | {"num_series": 3, "num_marks": 2})


def make(inputs: InputSpec | None = None, **arguments: object) -> Autoformer:
    small: dict[str, object] = {"d_model": 16, "num_heads": 4, "d_ff": 32, "moving_avg": 7}
    with seeded(0, "backbone"):
        return Autoformer(inputs or spec(), **(small | arguments))  # type: ignore[arg-type]  # what the tests vary


def model(backbone: Autoformer | None = None) -> HardSharing:
    return HardSharing(backbone or make(), [forecasting("a"), forecasting("b")], seed=0)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def windows(batch: int = 5, inputs: InputSpec | None = None) -> Tensor:
    found = inputs or spec()
    examples = draw(batch, *found.shape)
    examples[:, found.details["seq_len"] :, :3] = 0
    return examples


@pytest.mark.parametrize("window", [1, 3, 7, 25])
def test_parts_add_up_to_the_series(window: int) -> None:
    series = draw(2, 12, 3)
    seasonal, trend = layers.decompose(series, window)
    torch.testing.assert_close(seasonal + trend, series, rtol=0, atol=1e-14)


def test_trend_is_the_mean_over_a_window_that_repeats_the_ends() -> None:
    # By hand, window 3: (1 + 1 + 4) / 3, (1 + 4 + 10) / 3, (4 + 10 + 10) / 3.
    _, trend = layers.decompose(torch.tensor([1.0, 4.0, 10.0]).view(1, 3, 1), 3)
    torch.testing.assert_close(trend.view(-1), torch.tensor([2.0, 5.0, 8.0]))


@pytest.mark.parametrize("length", [9, 12])
@pytest.mark.parametrize("heads", [1, 3])
def test_correlation_equals_the_sum_over_all_pairs_of_rows(length: int, heads: int) -> None:
    queries, keys = draw(2, length, 6), draw(2, length, 6, seed=1)
    expected = torch.zeros(2, heads, length, dtype=torch.float64)
    for delay in range(length):
        for row in range(length):
            products = queries[:, (row + delay) % length] * keys[:, row]
            expected[:, :, delay] += products.view(2, heads, -1).mean(2)
    found = layers.correlation(queries, keys, heads)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("length", [9, 12])
@pytest.mark.parametrize("heads", [1, 3])
def test_aggregation_equals_rolled_values(length: int, heads: int) -> None:
    values, weights = draw(2, length, 6), draw(2, heads, 4, seed=1)
    order = [[torch.randperm(length).tolist()[:4] for _ in range(heads)] for _ in range(2)]
    expected = torch.zeros_like(values)
    for example in range(2):
        for channel in range(6):
            head = channel * heads // 6
            for rank, delay in enumerate(order[example][head]):
                shifted = torch.roll(values[example, :, channel], -delay)
                expected[example, :, channel] += weights[example, head, rank] * shifted
    found = layers.aggregate(values, torch.tensor(order), weights)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("period", [6, 8, 12])
def test_best_delays_of_a_periodic_series_are_multiples_of_its_period(period: int) -> None:
    phases = draw(3, 1) + 2 * math.pi * torch.arange(48, dtype=torch.float64) / period
    series = torch.sin(phases).unsqueeze(-1).expand(3, 48, 4)
    attention = layers.AutoCorrelation(4, heads=2, factor=1, delays="per_head")
    scores = layers.correlation(series, series, 2)
    for mode in (True, False):
        delays = attention.train(mode).choose(scores)
        assert delays.shape == (3, 2, 3)  # floor(log 48) = 3
        assert not (delays % period).any()


def test_best_delay_of_a_shifted_series_is_its_shift() -> None:
    keys = draw(3, 20, 4)
    attention = layers.AutoCorrelation(4, heads=1, factor=1, delays="per_head")
    delays = attention.choose(layers.correlation(keys.roll(7, dims=1), keys, 1))
    assert bool((delays[..., 0] == 7).all())


def test_training_shares_delays_over_the_batch_and_evaluation_does_not() -> None:
    attention = layers.AutoCorrelation(8, heads=2, factor=2, delays="per_head")
    scores = draw(4, 2, 20)
    common = attention.choose(scores)
    assert common.shape == (4, 2, 5)  # floor(2 * log 20) = 5
    assert bool((common == common[:1]).all())
    own = attention.eval().choose(scores)
    assert torch.equal(own, scores.argsort(dim=2, descending=True)[..., :5])


def test_heads_have_common_delays_if_told_so() -> None:
    common = layers.AutoCorrelation(8, heads=4, factor=1, delays="all_heads")
    assert (
        common.choose(layers.correlation(draw(2, 20, 8), draw(2, 20, 8), common.heads)).shape[1]
        == 1
    )
    inputs = windows().float()
    model_of = [model(make(delays="all_heads", num_heads=h)).eval() for h in (1, 4)]
    first, second = (m(inputs, ["a"])["a"] for m in model_of)
    assert torch.equal(first, second)


def test_two_processes_choose_the_delays_of_their_whole_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attention = layers.AutoCorrelation(8, heads=2, factor=2, delays="per_head").double()
    series = draw(6, 20, 8)
    whole = attention(series, series)
    asked = attention.query(series)
    mean = layers.correlation(asked, attention.key(series), 2).mean(0)
    monkeypatch.setattr(layers, "averaged", lambda _: mean.detach())
    halves = torch.cat([attention(half, half) for half in series.split(3)])
    torch.testing.assert_close(halves, whole, rtol=0, atol=1e-14)


@pytest.mark.parametrize("length", [3, 8])
def test_memory_is_cut_or_filled_to_the_length_of_the_series(length: int) -> None:
    memory = draw(2, 5, 3)
    fitted = layers.fit_length(memory, length)
    assert fitted.shape == (2, length, 3)
    shared = min(length, 5)
    assert torch.equal(fitted[:, :shared], memory[:, :shared])
    assert not fitted[:, shared:].any()


def test_seasonal_norm_leaves_no_mean_over_time() -> None:
    normed = layers.SeasonalNorm(4).double()(draw(2, 9, 4))
    torch.testing.assert_close(normed.mean(1), torch.zeros(2, 4).double(), rtol=0, atol=1e-14)


@pytest.mark.parametrize("label_len", [0, 12, 24])
@pytest.mark.parametrize("pred_len", [1, 8, 40])
def test_predictions_have_the_shape_of_targets(label_len: int, pred_len: int) -> None:
    inputs = spec(24, label_len, pred_len)
    predictions = model(make(inputs))(windows(5, inputs).float(), ["a", "b"])
    assert {t: p.shape for t, p in predictions.items()} == {"a": (5, pred_len), "b": (5, pred_len)}


def test_head_of_several_channels_keeps_their_axis() -> None:
    backbone = make(decoder_layers=2)
    head = backbone.make_head(Output("sequence", 3))
    assert head(backbone(windows().float())).shape == (5, 8, 3)


def test_each_encoder_layer_is_a_stage() -> None:
    backbone = make(encoder_layers=3)
    assert len(backbone.stages) == 4
    assert backbone.last_shared_layer() is backbone.stages[-1].layer.feed_forward[3]  # type: ignore[union-attr]  # the stage's own attributes


def test_every_parameter_gets_a_gradient() -> None:
    whole = model().double()
    predictions = whole(windows(), ["a", "b"])
    (predictions["a"].square().sum() + predictions["b"].square().sum()).backward()
    for name, parameter in whole.named_parameters():
        assert parameter.grad is not None, name
        assert bool(torch.isfinite(parameter.grad).all()), name


def test_gradient_equals_finite_differences_in_float64() -> None:
    whole = model(make(dropout=0.0)).double()
    inputs = windows(3).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: whole(x, ["a"])["a"], (inputs,), atol=1e-6, fast_mode=True
    )


def test_evaluation_is_deterministic_and_by_example() -> None:
    whole = model().double().eval()
    inputs = windows()
    first = whole(inputs, ["a"])["a"]
    assert torch.equal(first, whole(inputs, ["a"])["a"])
    single = torch.cat([whole(inputs[[row]], ["a"])["a"] for row in range(5)])
    torch.testing.assert_close(single, first, rtol=0, atol=1e-12)


def test_training_is_deterministic_under_a_seed() -> None:
    whole = model().double()
    inputs = windows()
    kept = inputs.clone()
    runs = []
    for _ in range(2):
        with seeded(3, "dropout"):
            runs.append(whole(inputs, ["a"])["a"])
    assert torch.equal(*runs)
    assert torch.equal(inputs, kept)


def test_works_under_autocast_in_bfloat16() -> None:
    whole = model().eval()
    inputs = windows().float()
    exact = whole(inputs, ["a"])["a"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = whole(inputs, ["a"])["a"]
    whole.train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        whole(inputs, ["a"])["a"].float().square().mean().backward()
    assert (rough.float() - exact).square().mean() < 0.05 * exact.square().mean()
    assert all(bool(torch.isfinite(p.grad).all()) for p in whole.parameters() if p.grad is not None)


def test_works_under_functional_call() -> None:
    whole = model().double().eval()
    inputs = windows()
    state = {name: p.detach() for name, p in whole.named_parameters()}

    def loss(parameters: dict[str, Tensor]) -> Tensor:
        called = torch.func.functional_call(whole, parameters, (inputs, ["a"]))
        return called["a"].square().mean()

    grads = torch.func.grad(loss)(state)
    loss_of_module = whole(inputs, ["a"])["a"].square().mean()
    loss_of_module.backward()
    for name, parameter in whole.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(grads[name], parameter.grad, rtol=1e-9, atol=1e-12)


def test_learns_a_sine_quickly() -> None:
    inputs = spec()
    backbone = make(inputs, dropout=0.0)
    head = backbone.make_head(Output("sequence", 1))
    both = nn.ModuleList([backbone, head])
    optimizer = torch.optim.Adam(both.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    rows, losses = torch.arange(32.0), []
    for _ in range(60):
        phase = torch.rand(16, 1, generator=generator) * 8
        sine = torch.sin(2 * math.pi * (rows + phase) / 8)
        batch = torch.zeros(16, 32, 5)
        batch[:, :24, :3] = sine[:, :24, None]
        loss = (head(backbone(batch)) - sine[:, 24:]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-5:]) / 5 < 0.1 * losses[0]


def test_paper_sizes_have_the_expected_parameters() -> None:
    sizes = {"seq_len": 96, "label_len": 48, "pred_len": 24, "num_series": 7, "num_marks": 4}
    backbone = Autoformer(InputSpec("series", (120, 11), sizes))
    head = backbone.make_head(Output("sequence", 1))
    # By hand, D = 512, F = 2048. Embedding: 3*7*D + 4*D, twice. Attention: 4*(D*D + D).
    # Feed-forward: 2*D*F. Norm: 2*D. Encoder: 2 layers. Decoder: two attentions, three
    # projections of D, the trend's 7 + 1, the seasonal D + 1.
    attention, forward = 4 * (512 * 512 + 512), 2 * 512 * 2048
    shared = 2 * (25 * 512) + 2 * (attention + forward) + 1024
    own = 2 * attention + forward + 3 * 512 + 8 + 1024 + 513
    assert sum(p.numel() for p in backbone.parameters()) == shared == 6_322_176
    assert sum(p.numel() for p in head.parameters()) == own == 4_201_481


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"num_heads": 3}, "num_heads"), ({"moving_avg": 4}, "moving_avg"),
        ({"encoder_layers": 0}, "encoder_layers"), ({"decoder_layers": 0}, "decoder_layers"),
    ],
)  # fmt: skip
def test_bad_size_names_its_key(arguments: dict[str, int], key: str) -> None:
    with pytest.raises(ValueError, match=f"Set backbone.{key}"):
        make(**arguments)


def test_other_inputs_and_outputs_are_errors_that_say_what_fits() -> None:
    with pytest.raises(ValueError, match="backbone=resnet_small"):
        Autoformer(InputSpec("image", (3, 8, 8)))
    with pytest.raises(ValueError, match=r"`dense`.*backbone=mlp"):
        make().make_head(Output("dense", 2))
