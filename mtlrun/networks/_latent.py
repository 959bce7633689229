"""What turns an input into the distribution of its representation."""

from typing import Literal

import torch
from torch import Tensor, nn

from mtlrun.networks._dropout import InputDropout
from mtlrun.networks._elu import FastELU
from mtlrun.networks._gaussian import Gaussian
from mtlrun.networks._gaussian_linear import GaussianLinear
from mtlrun.networks._one_pass import OnePass

LatentNet = Literal["mlp", "linear"]
WALKED = [nn.Sequential, InputDropout, nn.Linear, FastELU, nn.Linear, FastELU, GaussianLinear]
NUM_WALKED = 8  # parameters


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

    def forward(self, inputs: Tensor) -> Gaussian:
        """[..., E] for inputs [..., D]."""
        found: Gaussian = self.last(self.layers(inputs))
        return found

    def beside(self, rows: Tensor, count: int) -> tuple[Gaussian, Gaussian]:
        """[count, E] of the first rows, and [R - count, E] of the others as constants of the gradient.

        Args:
            rows: [R, D], a contiguous buffer that may be overwritten.
            count: Of the first ones.
        """
        if rows.requires_grad or not self._is_as_built(rows.device.type):
            own = self(rows[:count])
            with torch.no_grad():
                return own, self(rows[count:])
        dropout, one, _, two, _ = self.layers
        last = self.last
        assert isinstance(dropout, InputDropout)
        mean, variance, *others = OnePass.apply(
            dropout.over(rows),
            count,
            *(one.weight, one.bias, two.weight, two.bias),
            *(last.mean, last.bias, last.rho, last.bias_rho),
        )
        return Gaussian(mean, variance), Gaussian(*others)

    def _is_as_built(self, device: str) -> bool:
        """Whether `OnePass` does what a call does: nothing exchanged, hooked, left out or under autocast."""
        modules = list(self.modules())
        return (
            not torch.is_autocast_enabled(device)
            and [type(module) for module in modules] == [GaussianNetwork, *WALKED]
            and not any(
                module._forward_hooks
                or module._forward_pre_hooks
                or module._backward_hooks
                or module._backward_pre_hooks
                for module in modules
            )
            and len(list(self.parameters())) == NUM_WALKED
        )
