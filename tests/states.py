"""States of rules and models: as a checkpoint gives them back, and whether two are alike."""

import io
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree


def through_a_file(state: Any) -> Any:
    """A state as a checkpoint gives it back."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def is_same(one: Any, other: Any) -> bool:
    """Whether two nests of tensors and plain values are alike, bit for bit."""
    (first, form), (second, other_form) = pytree.tree_flatten(one), pytree.tree_flatten(other)
    return form == other_form and all(
        torch.equal(a, b) if isinstance(a, Tensor) else a == b
        for a, b in zip(first, second, strict=True)
    )
