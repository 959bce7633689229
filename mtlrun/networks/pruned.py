"""One group of a grouped network, without the others."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from torch import Tensor, nn

from mtlrun.core.batch import TaskName
from mtlrun.core.model import Backbone
from mtlrun.core.task import Task
from mtlrun.networks.hard_sharing import HardSharing


class PrunedGroup(HardSharing):
    """The shared stages, one group's encoder, and the heads of the tasks that are in it.

    In evaluation mode it predicts what the whole network does, bit for bit. The shared stages are
    those of other groups too, and stay as they are: no gradients, and evaluation mode.

    Args:
        backbone: A whole encoder; it makes the heads.
        tasks: Of the group, in the order of the losses.
        seed: Of the heads, until they are given the group's weights.
        group: The group's number in the whole network, from 0.
        num_shared_stages: As there.
    """

    def __init__(
        self,
        backbone: Backbone,
        tasks: Sequence[Task],
        *,
        seed: int,
        group: int,
        num_shared_stages: int = 0,
    ) -> None:
        super().__init__(backbone, tasks, seed=seed)
        self.group, self.num_shared_stages = group, num_shared_stages
        self._common().requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Training or evaluation mode; the shared stages stay in evaluation mode."""
        super().train(mode)
        self._common().eval()
        return self

    def take(self, whole: Mapping[str, Tensor]) -> None:
        """Takes over the weights and buffers of its parts.

        Args:
            whole: The state_dict of a `Grouped` network.
        """
        self.load_state_dict(
            pruned_state(whole, group=self.group, tasks=[task.name for task in self.tasks])
        )

    def learned(self) -> Mapping[str, Any]:
        """The group's number, and how many of its parameters all groups have in common."""
        common = sum(p.numel() for p in self._common().parameters())
        return {"group": self.group, "common_parameters": common}

    def _common(self) -> nn.ModuleList:
        """The shared stages."""
        return self.backbone.stages[: self.num_shared_stages]


def pruned_state(
    whole: Mapping[str, Tensor], *, group: int, tasks: Sequence[TaskName]
) -> dict[str, Tensor]:
    """The state_dict of a `PrunedGroup`.

    Args:
        whole: That of a `Grouped` network.
        group: The group's number.
        tasks: Whose heads are kept.
    """
    parts = {"shared.": "backbone.stages.", f"encoders.{group}.": "backbone."}
    parts |= {f"heads.{group}.{task}.": f"heads.{task}." for task in tasks}
    return {
        own + name.removeprefix(place): value
        for place, own in parts.items()
        for name, value in whole.items()
        if name.startswith(place)
    }
