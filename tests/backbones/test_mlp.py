import pytest
import torch

from mtlrun.backbones.mlp import MLP
from mtlrun.core.data import InputSpec
from mtlrun.core.task import Output

SERIES = InputSpec(
    "series", (12, 5),
    {"seq_len": 8, "label_len": 4, "pred_len": 4, "num_series": 3, "num_marks": 2},
)  # fmt: skip


@pytest.mark.parametrize(
    "spec", [InputSpec("vector", (6,)), InputSpec("image", (3, 4, 5)), SERIES], ids=lambda s: s.kind
)
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_reads_inputs_of_any_kind(spec: InputSpec, norm: str) -> None:
    backbone = MLP(spec, hidden=(7, 5), norm=norm)  # type: ignore[arg-type]  # a literal
    assert len(backbone.stages) == 2
    head = backbone.make_head(Output("vector", 2))
    assert head(backbone(torch.randn(3, *spec.shape))).shape == (3, 2)


def test_default_sizes_have_the_parameters_of_three_layers_of_512() -> None:
    backbone = MLP(InputSpec("vector", (10,)))
    # By hand: 10 * 512 + 512 + 2 * (512 * 512 + 512)
    assert sum(p.numel() for p in backbone.parameters()) == 530_944


def test_sequence_head_leaves_out_the_axis_of_one_channel() -> None:
    backbone = MLP(SERIES, hidden=[7])
    features = backbone(torch.randn(3, 12, 5))
    assert backbone.make_head(Output("sequence", 1))(features).shape == (3, 4)
    assert backbone.make_head(Output("sequence", 2))(features).shape == (3, 4, 2)


def test_dense_output_is_an_error_that_says_what_fits() -> None:
    with pytest.raises(ValueError, match=r"`dense`.*backbone=resnet_small"):
        MLP(InputSpec("image", (3, 4, 5))).make_head(Output("dense", 2))


def test_sequence_output_needs_series() -> None:
    with pytest.raises(ValueError, match=r"`sequence`.*`vector`"):
        MLP(InputSpec("vector", (6,))).make_head(Output("sequence", 1))


@pytest.mark.parametrize("hidden", [(), (4, 0)])
def test_bad_widths_are_an_error(hidden: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"Set backbone\.hidden"):
        MLP(InputSpec("vector", (6,)), hidden=hidden)
