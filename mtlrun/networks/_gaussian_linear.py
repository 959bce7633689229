"""Linear layers whose weights are independent normal variables."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mtlrun.networks._gaussian import Gaussian
from mtlrun.networks._softplus import softplus_squared

MEAN_SPREAD = 0.1  # standard deviation of the initial means and of the initial rho
RHO_INIT = -3.0


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

    def means(self, inputs: Tensor) -> Tensor:
        """Means alone of the output [..., E]."""
        return F.linear(inputs, self.mean, self.bias)

    def forward(self, inputs: Tensor) -> Gaussian:
        """The output [..., E] for inputs [..., D], every row with weights of its own."""
        mean = self.means(inputs)
        if self.rho is None:
            return Gaussian(mean, None)
        bias = None if self.bias_rho is None else softplus_squared(self.bias_rho)
        spread = F.linear(inputs.square(), softplus_squared(self.rho), bias)
        return Gaussian(mean, spread)


def weights_of(layers: Sequence[GaussianLinear]) -> Gaussian:
    """The weights [K, E, D] of K layers of a size, without biases."""
    means = [layer.mean for layer in layers]
    rhos = [layer.rho for layer in layers if layer.rho is not None]
    if not rhos:
        return Gaussian(stacked(means), None)
    if torch.is_grad_enabled():
        return Gaussian(stacked(means), softplus_squared(stacked(rhos)))
    mean, rho = stacked([*means, *rhos]).chunk(2)  # without a graph one copy will do
    return Gaussian(mean, softplus_squared(rho))


def stacked(own: Sequence[Tensor]) -> Tensor:
    """[K, ...] of K tensors of a shape; of one without a copy."""
    return own[0].unsqueeze(0) if len(own) == 1 else torch.stack(list(own))
