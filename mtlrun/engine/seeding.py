"""The state of every generator that training draws from, by name."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from mtlrun.core.distributed import process_index
from mtlrun.core.seeding import seed_for


def seed_everything(seed: int) -> None:
    """Seeds the generators that layers such as dropout draw from; every process draws its own."""
    noise = seed_for(seed, f"noise/{process_index()}")
    torch.manual_seed(noise)
    random.seed(noise)
    np.random.seed(noise % 2**32)


def generator_state() -> dict[str, Any]:
    """The state of torch's, CUDA's, Python's and numpy's generators, as tensors and plain values."""
    kind, keys, *rest = np.random.get_state()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "python": random.getstate(),
        "numpy": [str(kind), torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
    }


def set_generator_state(state: Mapping[str, Any]) -> None:
    """The inverse of `generator_state`."""
    torch.set_rng_state(state["torch"].cpu())
    if torch.cuda.is_available() and state["cuda"]:
        states = state["cuda"][: torch.cuda.device_count()]  # another machine may have had more
        torch.cuda.set_rng_state_all([own.cpu() for own in states])
    random.setstate(state["python"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.cpu().numpy().astype(np.uint32), *rest))
