"""Where operations have a way of their own beside torch's."""

import torch
from torch import Tensor


def is_cpu_float(values: Tensor) -> bool:
    """Whether they are float32 or float64 on a CPU."""
    return values.device.type == "cpu" and values.dtype in {torch.float32, torch.float64}
