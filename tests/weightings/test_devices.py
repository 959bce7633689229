from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from mtlrun.core.weighting import GramianWeighting, LossWeighting
from tests.weightings.oracles import built, rows, set_up

NAMES = ["aligned_mtl", "bandit", "cagrad", "imtl_g", "mgda", "nash_mtl"]


class Elsewhere(Tensor):
    """Stands for a tensor of an accelerator: counts the copies to CPU, refuses to be read in place."""

    copies = 0

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func in (Tensor.__bool__, Tensor.__float__, Tensor.item, Tensor.numpy):
            raise AssertionError(f"{func} waits for the accelerator")
        found = super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]  # torch's
        if func is Tensor.cpu:
            Elsewhere.copies += 1
            return found.as_subclass(Tensor)
        return found


@pytest.mark.parametrize("name", NAMES)
def test_the_numbers_are_read_from_the_accelerator_once_a_step(name: str) -> None:
    weighting, plain = set_up(built(name), 5), set_up(built(name), 5)
    gradients, losses = rows(5), torch.arange(1.0, 6.0)
    products = gradients @ gradients.T
    for _ in range(2):
        Elsewhere.copies = 0
        if isinstance(weighting, GramianWeighting):
            assert isinstance(plain, GramianWeighting)
            expected = plain.weights(products, losses)
            found = weighting.weights(products.as_subclass(Elsewhere), losses)
            torch.testing.assert_close(found.as_subclass(Tensor), expected)
        else:
            assert isinstance(weighting, LossWeighting)
            assert weighting.weights((9 * losses).as_subclass(Elsewhere)).shape == (5,)
        assert Elsewhere.copies == 1
