"""A latent vector for features that were extracted before."""

from typing import Literal

from torch import nn

from mtlrun.core.data import InputSpec
from mtlrun.core.model import Backbone
from mtlrun.core.task import Output

ZNet = Literal["mlp", "linear"]


class Latent(Backbone):
    """Dropout on the features, then linear layers to the latent vector: VMTL's z network without variances.

    Source: VMTL (Shen et al., NeurIPS 2021), Table B.3 (`mlp`), and its released program (`linear`).
    Differs: no cross attention over features of other tasks; the last layer gives z itself, and not
    the moments that it is drawn with. Layers begin as torch initialises linear ones: the paper says
    nothing, and the program's small random means are those of Bayesian layers.

    Stages: with `mlp` three linear layers, ELU after the first two; with `linear` one. Head: a linear
    layer on the latent vector, for `vector` outputs [B, C].

    Args:
        inputs: Vectors [D].
        z_net: "mlp" as in the paper, "linear" as in the program.
        latent: Width of the latent vector.
        hidden: Width of the layers before it; without effect with `linear`.
        dropout: Of the features.
    """

    def __init__(
        self,
        inputs: InputSpec,
        *,
        z_net: Literal["mlp", "linear"] = "mlp",
        latent: int = 512,
        hidden: int = 512,
        dropout: float = 0.7,
    ) -> None:
        super().__init__()
        _check(inputs, latent, hidden, dropout)
        (width,) = inputs.shape
        self.latent = latent
        hidden = latent if z_net == "linear" else hidden
        first: list[nn.Module] = [nn.Dropout(dropout), nn.Linear(width, hidden)]
        if z_net == "linear":
            self.stages = nn.ModuleList([nn.Sequential(*first)])
            return
        self.stages = nn.ModuleList(
            [
                nn.Sequential(*first, nn.ELU()),
                nn.Sequential(nn.Linear(hidden, hidden), nn.ELU()),
                nn.Linear(hidden, latent),
            ]
        )

    def make_head(self, output: Output) -> nn.Module:
        """A linear layer."""
        if output.kind != "vector":
            raise ValueError(
                f"Backbone `latent` makes heads for `vector` outputs. Found a task whose output is "
                f"`{output.kind}`. Set backbone=mlp for series, backbone=resnet_small for images."
            )
        return nn.Linear(self.latent, output.channels)


def _check(inputs: InputSpec, latent: int, hidden: int, dropout: float) -> None:
    if inputs.kind != "vector":
        raise ValueError(
            f"Backbone `latent` reads vectors [D]. Found inputs of kind `{inputs.kind}` and shape "
            f"{list(inputs.shape)}. Set backbone=mlp for series, backbone=resnet_small for images."
        )
    for name, width in (("latent", latent), ("hidden", hidden)):
        if width < 1:
            raise ValueError(
                f"`{name}` should be at least 1. Found `{name} = {width}`. Set backbone.{name}."
            )
    if not 0 <= dropout < 1:
        raise ValueError(
            f"`dropout` should be 0 or more and below 1. Found `dropout = {dropout}`. "
            f"Set backbone.dropout."
        )
