"""Random streams by name: a new draw in one place moves no other."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


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
