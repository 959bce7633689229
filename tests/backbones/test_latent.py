import pytest
import torch
from torch import nn

from mtlrun.backbones.latent import Latent
from mtlrun.core.data import InputSpec
from mtlrun.core.task import Output

VECTOR = InputSpec("vector", (1024,))


def test_sizes_are_those_of_the_paper_and_of_the_program() -> None:
    # By hand: 1024 * 512 + 512 + 2 * (512 * 512 + 512); and 1024 * 512 + 512.
    for z_net, expected in (("mlp", 1_050_112), ("linear", 524_800)):
        backbone = Latent(VECTOR, z_net=z_net)  # type: ignore[arg-type]  # a literal
        assert sum(p.numel() for p in backbone.parameters()) == expected
        assert backbone.eval()(torch.randn(3, 1024)).shape == (3, 512)
        assert backbone.make_head(Output("vector", 10))(torch.randn(3, 512)).shape == (3, 10)


def test_seven_of_ten_features_are_dropped_while_training_only() -> None:
    backbone = Latent(VECTOR)
    torch.manual_seed(0)
    dropped = backbone.stages[0][0](torch.ones(64, 1024))  # type: ignore[index]  # a sequence
    assert float((dropped == 0).float().mean()) == pytest.approx(0.7, abs=0.01)
    backbone.eval()
    inputs = torch.randn(2, 1024)
    assert torch.equal(backbone(inputs), backbone(inputs))


def test_the_network_is_elu_layers_and_a_last_linear_one() -> None:
    backbone = Latent(InputSpec("vector", (6,)), latent=4, hidden=5, dropout=0.0).double()
    inputs = torch.randn(3, 6, dtype=torch.float64)
    layers = [m for m in backbone.modules() if isinstance(m, nn.Linear)]
    expected = inputs
    for k, layer in enumerate(layers):
        expected = expected @ layer.weight.T + layer.bias
        if k < 2:
            expected = torch.where(expected > 0, expected, expected.exp() - 1)
    torch.testing.assert_close(backbone(inputs), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("spec", [InputSpec("image", (3, 4, 5)), InputSpec("series", (12, 5))])
def test_other_inputs_are_refused_with_backbones_that_read_them(spec: InputSpec) -> None:
    with pytest.raises(ValueError, match=r"reads vectors.*backbone=mlp"):
        Latent(spec)


def test_other_outputs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`dense`.*backbone=mlp"):
        Latent(VECTOR).make_head(Output("dense", 3))


@pytest.mark.parametrize("name", ["latent", "hidden", "dropout"])
def test_bad_sizes_are_named(name: str) -> None:
    with pytest.raises(ValueError, match=rf"Set backbone\.{name}"):
        Latent(VECTOR, **{name: -1})  # type: ignore[arg-type]  # what the test varies
