"""What turns an input into the distribution of its representation."""

from typing import Literal

import torch
from torch import Tensor, nn

from mtlrun.networks._gaussian import Gaussian
from mtlrun.networks._gaussian_linear import GaussianLinear

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
        layers: list[nn.Module] = [nn.Dropout(dropout)]
        if net == "mlp":
            layers += [nn.Linear(num_inputs, hidden), nn.ELU(), nn.Linear(hidden, hidden), nn.ELU()]
            num_inputs = hidden
        self.layers = nn.Sequential(*layers)
        self.last = GaussianLinear(num_inputs, num_outputs, bayesian=bayesian)

    def forward(self, inputs: Tensor) -> Gaussian:
        """[..., E] for inputs [..., D]."""
        found: Gaussian = self.last(self.layers(inputs))
        return found

    def both(self, inputs: Tensor, others: Tensor, *, detach: bool) -> tuple[Gaussian, Gaussian]:
        """Of inputs, and of others [..., D], which may be constants of the gradient."""
        hidden, variances = self.layers(inputs), self.last.variances()
        own: Gaussian = self.last(hidden, variances)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not detach):
            rest: Gaussian = self.last(self.layers(others), variances)
        return own, rest
