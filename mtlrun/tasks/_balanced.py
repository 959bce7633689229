"""Binary cross entropy of maps whose two classes weigh differently."""

from torch import Tensor
from torch.nn import functional as F

from mtlrun.tasks._masked import check_dense, masked_mean


def weighted_cross_entropy(
    prediction: Tensor, target: Tensor, *, positive: Tensor | float
) -> Tensor:
    """Mean over the valid pixels of w y log(1 / p) + (1 - w) (1 - y) log(1 / (1 - p)).

    Args:
        prediction: [B, 1, H, W] logits of p.
        target: [B, 1, H, W] y in 0..1; pixels that are not a number are invalid.
        positive: w in 0..1.

    Returns:
        A scalar; 0, with a gradient of zeros, if no pixel is valid.
    """
    check_dense(prediction, target)
    truth = target.nan_to_num(0)
    terms = positive * truth * F.softplus(-prediction)
    terms = terms + (1 - positive) * (1 - truth) * F.softplus(prediction)
    return masked_mean(terms, ~target.isnan())


def class_balanced_cross_entropy(prediction: Tensor, target: Tensor) -> Tensor:
    """The same where w is the share of the batch's valid pixels that are not positive (at least 0.5).

    So both classes have the same weight in all, whatever their shares.

    Args:
        prediction: [B, 1, H, W] logits.
        target: [B, 1, H, W] in 0..1; pixels that are not a number are invalid.

    Returns:
        A scalar; 0, with a gradient of zeros, if no pixel is valid.
    """
    check_dense(prediction, target)
    negative = (target < 0.5).to(target.dtype)
    share = masked_mean(negative, ~target.isnan())
    return weighted_cross_entropy(prediction, target, positive=share)
