"""What turns an input into the distribution of its representation."""

from typing import Literal

from torch import Tensor, nn

from mtlrun.networks._dropout import InputDropout
from mtlrun.networks._elu import FastELU
from mtlrun.networks._gaussian import Gaussian
from mtlrun.networks._gaussian_linear import GaussianLinear, Variances

LatentNet = Literal["mlp", "linear"]


class GaussianNetwork(nn.Module):
    """Dropout, no or two fully connected layers with ELU, and a layer with random weights.

    Source: VMTL, Tables B.2 and B.3; "linear" is the released program's for representations.

    Args:
        num_inputs: D.
        num_outputs: E.
        net: "mlp" with the two layers, or "linear" without.
        hidden: Their width.
        dropout: Of the input.
        bayesian: Whether the last layer's weights have a variance.
    """

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        *,
        net: LatentNet,
        hidden: int,
        dropout: float,
        bayesian: bool,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [InputDropout(dropout)]
        if net == "mlp":
            layers += [
                nn.Linear(num_inputs, hidden),
                FastELU(),
                nn.Linear(hidden, hidden),
                FastELU(),
            ]
            num_inputs = hidden
        self.layers = nn.Sequential(*layers)
        self.last = GaussianLinear(num_inputs, num_outputs, bayesian=bayesian)

    def means(self, inputs: Tensor) -> Tensor:
        """Means alone, [..., E]."""
        return self.last.means(self.layers(inputs))

    def forward(self, inputs: Tensor, variances: Variances = None) -> Gaussian:
        """[..., E] for inputs [..., D].

        Args:
            inputs: Values.
            variances: The last layer's, for several calls; None to find them.
        """
        found: Gaussian = self.last(self.layers(inputs), variances)
        return found
