"""Random streams by name: a new draw in one place moves no other."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor


def seed_for(seed: int, purpose: str) -> int:
    """A seed in [0, 2**63) for one purpose of a run, such as "order/3" or "head/depth"."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator_for(seed: int, purpose: str) -> torch.Generator:
    """A generator on CPU for one purpose of a run."""
    return torch.Generator().manual_seed(seed_for(seed, purpose))


@contextmanager
def seeded(seed: int, purpose: str) -> Iterator[None]:
    """Runs a block, such as a layer's initialisation, with torch's CPU generator seeded by name."""
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(seed_for(seed, purpose))
    try:
        yield
    finally:
        torch.set_rng_state(state)


@dataclass(frozen=True, eq=False)
class RandomState:
    """Where torch's global generators stand: the CPU's, and the accelerator's if one computes.

    Attributes:
        device: The one that the model is on.
        cpu: The CPU generator's state.
        cuda: The device's; None on the CPU.
    """

    device: torch.device
    cpu: Tensor
    cuda: Tensor | None

    @classmethod
    def capture(cls, device: torch.device) -> "RandomState":
        """As it is now."""
        on_cuda = device.type == "cuda"
        state = torch.cuda.get_rng_state(device) if on_cuda else None
        return cls(device, torch.get_rng_state(), state)

    def equals(self, other: "RandomState") -> bool:
        """Whether the generators would draw the same."""
        pairs = [(self.cpu, other.cpu), (self.cuda, other.cuda)]
        return all(
            a is b or (a is not None and b is not None and torch.equal(a, b)) for a, b in pairs
        )

    def restore(self) -> None:
        """Makes the generators draw again what they drew from here on."""
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda, self.device)
