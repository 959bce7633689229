"""One pass of a shared encoder for inputs that differ from task to task."""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from mtlrun.core.batch import TaskName


def encoded_by_task(
    encode: Callable[[Tensor], Any], inputs: Mapping[TaskName, Tensor], tasks: Sequence[TaskName]
) -> dict[TaskName, Any]:
    """Each task's rows of what an encoder makes of all inputs, concatenated along the batch.

    Args:
        encode: From a batch to a nest of tensors [B, ...]; other leaves are every task's.
        inputs: By task.
        tasks: Names of those that are encoded, in order.
    """
    joint = encode(torch.cat([inputs[task] for task in tasks]))
    found, begin = {}, 0
    for task in tasks:
        rows = slice(begin, begin + len(inputs[task]))
        found[task] = pytree.tree_map_only(Tensor, itemgetter(rows), joint)
        begin = rows.stop
    return found
