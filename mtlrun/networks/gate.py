"""How much of a representation comes from the public encoder."""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils import _pytree as pytree

GateKind = Literal["clamp", "sigmoid", "softmax2", "hard"]
TEMPERATURE = 0.1  # of the hard gate's Gumbel softmax


class Gate(nn.Module):
    """A scalar alpha in [0, 1], the same for every example.

    Source: DSMTL, Section 4.1; its earlier program has `softmax2` and `hard`.
    Differs: "sigmoid" is one logit, for alpha and 1 - alpha. That program's variant of sigmoids has
    two, one of the public and one of the private encoder, whose sum is free; it is left out.

    Args:
        kind: "clamp" for a number that `project` brings back to [0, 1] after a step; "sigmoid" of
            a logit; "softmax2" of two logits; "hard" for a Gumbel softmax of two logits at
            temperature 0.1 that is rounded to 0 or 1, drawn anew in every training pass.
        alpha_init: Where it begins; the probability of 1 for "hard".
        learnable: Whether it is a parameter; else it stays at `alpha_init`, whatever the kind.

    Raises:
        ValueError: If the kind of gate cannot begin there.
    """

    def __init__(self, kind: GateKind, *, alpha_init: float, learnable: bool) -> None:
        super().__init__()
        if not 0 <= alpha_init <= 1:
            raise ValueError(
                f"`alpha_init` should lie in [0, 1]. Found `alpha_init = {alpha_init}`. "
                f"Set method.alpha_init."
            )
        if learnable and kind != "clamp" and alpha_init in (0, 1):
            raise ValueError(
                f"A learnable `{kind}` gate should begin strictly between 0 and 1. Found "
                f"`alpha_init = {alpha_init}`. Set method.gate=clamp, which reaches both ends."
            )
        self.kind = kind if learnable else "clamp"
        raw = torch.tensor(float(alpha_init))
        if self.kind == "sigmoid":
            raw = torch.tensor(math.log(alpha_init / (1 - alpha_init)))
        elif self.kind in ("softmax2", "hard"):
            raw = torch.tensor([math.log(alpha_init), math.log(1 - alpha_init)])
        if learnable:
            self.raw: Tensor = nn.Parameter(raw)
        else:
            self.register_buffer("raw", raw)

    def forward(self) -> Tensor:
        """Alpha, a scalar."""
        if self.kind == "hard" and self.training:
            return F.gumbel_softmax(self.raw, tau=TEMPERATURE, hard=True)[0]
        if self.kind == "hard":
            return (self.raw[0] > self.raw[1]).to(self.raw)
        return self.expected()

    def expected(self) -> Tensor:
        """Alpha without draws: for "hard" the probability of 1."""
        if self.kind == "sigmoid":
            return self.raw.sigmoid()
        return self.raw if self.kind == "clamp" else self.raw.softmax(0)[0]

    @torch.no_grad()
    def project(self) -> None:
        """Brings a "clamp" gate back to [0, 1]."""
        if self.kind == "clamp":
            self.raw.clamp_(0, 1)


def mixed(alpha: Tensor, public: Any, private: Any) -> Any:
    """The mean weighted by alpha (public) and 1 - alpha, for every tensor of two like nests of floating tensors."""

    def mix(one: Any, other: Any) -> Any:
        if not isinstance(one, Tensor) or not one.is_floating_point():
            return other
        return alpha * one + (1 - alpha) * other

    return pytree.tree_map(mix, public, private)
