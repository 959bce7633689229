"""Means over valid pixels, for losses of dense tasks."""

from torch import Tensor


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """The mean over the valid entries; 0, with a gradient of zeros, if there is none.

    Args:
        values: Finite where not valid too, else their gradient is not a number.
        valid: The same shape, bool.

    Returns:
        A scalar.
    """
    return values.where(valid, 0).sum() / valid.sum().clamp(min=1)


def known(target: Tensor) -> tuple[Tensor, Tensor]:
    """A target [B, C, H, W] of depth or normals with zeros where it is invalid, and where it is valid.

    A pixel is invalid that has a channel that is not a number, or zeros alone.

    Returns:
        [B, C, H, W], and [B, H, W] bool.
    """
    numbers = ~target.isnan().any(dim=1)
    return target.where(numbers.unsqueeze(1), 0), numbers & (target != 0).any(dim=1)


def check_dense(prediction: Tensor, target: Tensor) -> None:
    """Raises where shapes would broadcast silently.

    Raises:
        ValueError: If they differ.
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f"Predictions should have the targets' shape {list(target.shape)}. "
            f"Found {list(prediction.shape)}. Heads and targets of dense tasks are [B, C, H, W]."
        )
