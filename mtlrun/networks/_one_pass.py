"""A pass over rows with a gradient and rows without one."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from mtlrun.networks._elu import elu, of_elu
from mtlrun.networks._softplus import of_square, softplus


class OnePass(torch.autograd.Function):
    """Two layers with ELU and one with random weights, on all rows; walked back for the first ones.

    Priors are made of rows of other tasks, and are constants of the gradient. Two passes, one of them
    without a graph, have the same result in more operations. There is no second derivative.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, count: int, *parameters: Tensor) -> tuple[Tensor, ...]:
        """Means and variances [count, E] of the first rows, then [R - count, E] of the others, as constants.

        Args:
            ctx: What is kept.
            rows: [R, D], without a gradient.
            count: Of rows with a gradient.
            parameters: Weight and bias of the three layers, the last one's being means; then what the
                variances of the last one's are made of, see `softplus_squared`.
        """
        first, first_bias, second, second_bias, last, bias, rho, bias_rho = parameters
        one = elu(F.linear(rows, first, first_bias))
        two = elu(F.linear(one, second, second_bias))
        mean = F.linear(two, last, bias)
        root, bias_root = softplus(rho), softplus(bias_rho)
        squares, spread = two * two, root * root
        variance = F.linear(squares, spread, bias_root * bias_root)
        ctx.save_for_backward(
            rows[:count].clone(),  # else all rows were kept, and they are wide
            *(values[:count] for values in (one, two, squares)),
            *(second, last, spread),
            *(rho, root, bias_rho, bias_root),
        )
        others = mean[count:], variance[count:]
        ctx.mark_non_differentiable(*others)
        ctx.set_materialize_grads(False)
        return mean[:count], variance[:count], *others

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """Of the parameters."""
        rows, one, two, squares, second, last, spread, *rhos = ctx.saved_tensors
        of_mean, of_variance = gradients[:2]
        if of_mean is None or of_variance is None:
            of_mean, of_variance = (
                two.new_zeros(len(two), len(last)) if own is None else own
                for own in (of_mean, of_variance)
            )
        rho, root, bias_rho, bias_root = rhos
        of_two = torch.addcmul(of_mean @ last, of_variance @ spread, two, value=2)
        of_two = of_elu(of_two, two)
        of_one = of_elu(of_two @ second, one)
        return (
            *(None, None),
            *(of_one.T @ rows, of_one.sum(0), of_two.T @ one, of_two.sum(0)),
            *(of_mean.T @ two, of_mean.sum(0)),
            of_square(of_variance.T @ squares, rho, root),
            of_square(of_variance.sum(0), bias_rho, bias_root),
        )
