"""Linear layers whose weights are independent normal variables."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mtlrun.networks._gaussian import Gaussian
from mtlrun.networks._softplus import softplus_squared

MEAN_SPREAD = 0.1  # standard deviation of the initial means and of the initial rho
RHO_INIT = -3.0
Variances = tuple[Tensor, Tensor | None] | None


class GaussianLinear(nn.Module):
    """A linear layer with weights N(mean, softplus(rho)^2); what it puts out is a Gaussian.

    Source: Kingma et al., Variational Dropout and the Local Reparameterization Trick, NeurIPS 2015,
    arXiv:1506.02557, Section 2.1; initial values as in VMTL's released program.

    Args:
        num_inputs: D.
        num_outputs: E.
        bayesian: Whether weights have a variance; else the layer's output is a point, and weights
            begin as those of torch's linear layers.
        bias: Whether there is one.
    """

    def __init__(
        self, num_inputs: int, num_outputs: int, *, bayesian: bool, bias: bool = True
    ) -> None:
        super().__init__()
        shapes = (
            [(num_outputs, num_inputs), (num_outputs,)] if bias else [(num_outputs, num_inputs)]
        )
        if bayesian:
            means = [MEAN_SPREAD * torch.randn(shape) for shape in shapes]
        else:
            bound = num_inputs**-0.5
            means = [torch.empty(shape).uniform_(-bound, bound) for shape in shapes]
        self.mean = nn.Parameter(means[0])
        self.bias = nn.Parameter(means[1]) if bias else None
        self.rho = self.bias_rho = None
        if bayesian:
            rhos = [RHO_INIT + MEAN_SPREAD * torch.randn(shape) for shape in shapes]
            self.rho = nn.Parameter(rhos[0])
            self.bias_rho = nn.Parameter(rhos[1]) if bias else None

    def variances(self) -> Variances:
        """Of the weights [E, D] and of the bias [E]; None of a point."""
        if self.rho is None:
            return None
        bias = None if self.bias_rho is None else softplus_squared(self.bias_rho)
        return softplus_squared(self.rho), bias

    def means(self, inputs: Tensor) -> Tensor:
        """Means alone of the output [..., E]."""
        return F.linear(inputs, self.mean, self.bias)

    def forward(self, inputs: Tensor, variances: Variances = None) -> Gaussian:
        """The output [..., E] for inputs [..., D], every row with weights of its own.

        Args:
            inputs: Values.
            variances: As the method gives them, for several calls; None to find them.
        """
        variances = self.variances() if variances is None else variances
        mean = self.means(inputs)
        if variances is None:
            return Gaussian(mean, None)
        return Gaussian(mean, F.linear(inputs.square(), *variances))


def weights_of(layers: Sequence[GaussianLinear]) -> Gaussian:
    """The weights [K, E, D] of K layers of a size, without biases."""
    mean = stacked([layer.mean for layer in layers])
    rhos = [layer.rho for layer in layers if layer.rho is not None]
    return Gaussian(mean, softplus_squared(stacked(rhos)) if rhos else None)


def stacked(own: Sequence[Tensor]) -> Tensor:
    """[K, ...] of K tensors of a shape; of one without a copy."""
    return own[0].unsqueeze(0) if len(own) == 1 else torch.stack(list(own))
