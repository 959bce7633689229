"""What divergences from priors are compared with."""

from torch import Tensor

from mtlrun.networks._gaussian import Gaussian


def combination(parts: Gaussian, weights: Tensor) -> Gaussian:
    """The distribution of sum_n weights[k, n] x_n, where x_n are independent and distributed as the parts.

    Args:
        parts: [K, N, ..., D].
        weights: [K, N].

    Returns:
        [K, ..., D].
    """
    wide = weights.view(*weights.shape, *[1] * (parts.mean.dim() - 2))
    mean = (wide * parts.mean).sum(1)
    if parts.variance is None:
        return Gaussian(mean, None)
    return Gaussian(mean, (wide.square() * parts.variance).sum(1))
