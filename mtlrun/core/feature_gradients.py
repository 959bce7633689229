"""What tasks' gradients of the shared features tell, without walking the encoder back."""

import torch
from torch import Tensor

from mtlrun.core.distributed import averaged, num_processes
from mtlrun.core.gradients import SharedPass, stored_gramian
from mtlrun.core.model import full_precision


def feature_gramian(forward: SharedPass) -> Tensor:
    """[T, T] float64 inner products of the gradients of the features, of all processes' examples."""
    rows = [
        [
            full_precision(torch.zeros_like(feature) if gradient is None else gradient)
            for feature, gradient in zip(forward.features, gradients, strict=True)
        ]
        for gradients in forward.feature_gradients
    ]
    return averaged(stored_gramian(rows)) / num_processes()


def signed_sums(forward: SharedPass) -> Tensor:
    """[T, F] gradients of the features times their signs, summed over the examples; mean over processes."""
    rows = []
    for gradients in forward.feature_gradients:
        parts = [
            torch.zeros_like(feature[0])
            if gradient is None
            else (feature.detach().sign() * full_precision(gradient)).sum(0)
            for feature, gradient in zip(forward.features, gradients, strict=True)
        ]
        rows.append(torch.cat([full_precision(part).reshape(-1) for part in parts]))
    return averaged(torch.stack(rows))


def weighed_features(forward: SharedPass, weights: Tensor) -> list[Tensor | None]:
    """The tasks' gradients of the features, summed with weights [T, F] that all examples share."""
    sizes = [feature[0].numel() for feature in forward.features]
    totals: list[Tensor | None] = []
    for k, own in enumerate(torch.split(weights, sizes, dim=1)):
        total = torch.zeros_like(forward.features[k])
        for weight, gradients in zip(own, forward.feature_gradients, strict=True):
            gradient = gradients[k]
            if gradient is not None:
                total += weight.to(gradient.dtype).view_as(total[0]) * gradient
        totals.append(total)
    return totals
