"""Linear layers whose weights are independent normal variables."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mtlrun.networks._gaussian import Gaussian

MEAN_SPREAD = 0.1  # standard deviation of the initial means and of the initial rho
RHO_INIT = -3.0


class GaussianLinear(nn.Module):
    """A linear layer with weights N(mean, softplus(rho)^2); what it puts out is a Gaussian.

    Source: Kingma et al., Variational Dropout and the Local Reparameterization Trick, NeurIPS 2015,
    arXiv:1506.02557, Section 2.1; initial values as in VMTL's released program.

    Args:
        num_inputs: D.
        num_outputs: E.
        bayesian: Whether weights have a variance; else the layer's output is a point.
        bias: Whether there is one.
    """

    def __init__(
        self, num_inputs: int, num_outputs: int, *, bayesian: bool, bias: bool = True
    ) -> None:
        super().__init__()
        self.mean = nn.Parameter(MEAN_SPREAD * torch.randn(num_outputs, num_inputs))
        self.bias = nn.Parameter(MEAN_SPREAD * torch.randn(num_outputs)) if bias else None
        self.rho = self.bias_rho = None
        if bayesian:
            self.rho = nn.Parameter(RHO_INIT + MEAN_SPREAD * torch.randn(num_outputs, num_inputs))
            if bias:
                self.bias_rho = nn.Parameter(RHO_INIT + MEAN_SPREAD * torch.randn(num_outputs))

    def weights(self) -> Gaussian:
        """Of the weights [E, D], without the bias."""
        return Gaussian(self.mean, None if self.rho is None else F.softplus(self.rho).square())

    def forward(self, inputs: Tensor) -> Gaussian:
        """The output [..., E] for inputs [..., D], every row with weights of its own."""
        mean = F.linear(inputs, self.mean, self.bias)
        if self.rho is None:
            return Gaussian(mean, None)
        bias = None if self.bias_rho is None else F.softplus(self.bias_rho).square()
        return Gaussian(mean, F.linear(inputs.square(), F.softplus(self.rho).square(), bias))
