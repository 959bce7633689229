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
        return Gaussian(self.mean, self.variances()[0])

    def variances(self) -> tuple[Tensor | None, Tensor | None]:
        """Of the weights [E, D] and of the bias [E]; None for points and where there is none."""
        found = [
            None if rho is None else F.softplus(rho).square() for rho in (self.rho, self.bias_rho)
        ]
        return found[0], found[1]

    def forward(
        self, inputs: Tensor, variances: tuple[Tensor | None, Tensor | None] | None = None
    ) -> Gaussian:
        """The output [..., E] for inputs [..., D], every row with weights of its own.

        Args:
            inputs: Rows.
            variances: As `variances` gives them, where they are known.
        """
        mean = F.linear(inputs, self.mean, self.bias)
        weight, bias = self.variances() if variances is None else variances
        if weight is None:
            return Gaussian(mean, None)
        return Gaussian(mean, F.linear(inputs.square(), weight, bias))
