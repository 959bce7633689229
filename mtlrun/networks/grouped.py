"""K groups, each an encoder and a head for every task, and logits that say which group a task is in."""

import copy
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mtlrun.core.batch import TaskName
from mtlrun.core.model import Backbone, Features, MultiTaskModel
from mtlrun.core.seeding import seeded
from mtlrun.core.task import Task
from mtlrun.networks._by_task import encoded_by_task
from mtlrun.networks._scaled_gradient import scaled

GradScale = Literal["none", "intended", "code"]
Init = Literal["ones", "diagonal", "gaussian", "identity"]


class Grouped(MultiTaskModel):
    """Shared modules, K encoders E_k on top of them, heads H_kn, and logits [T, K].

    Source: Gao et al., DMTG: One-Shot Differentiable Multi-Task Grouping, ICML 2024, arXiv:2407.05082,
    as its supplement (appendix A) and its released program define it.

    A task is predicted by the group of its largest logit, the first of equals, whatever the mode:
    `forward` computes the groups that its tasks need and no other. `predictions_by_group` computes
    them all, which is what training mixes. The groups' encoders begin as copies, as do the heads: at
    the start all groups are the same function.

    The encoders, what they share and the logits are the shared parameters; a task's own are its K
    heads.

    Args:
        backbone: Of P - 1 stages; taken over.
        tasks: T of them, in the order of the logits' rows.
        seed: Of the heads, which begin as those of hard sharing do, and of initial logits.
        num_groups: K.
        num_shared_stages: How many stages come once, before the groups: 0, as in the program's
            first configurations of CelebA ("shared" ones: the first convolution) and as the
            supplement's second theorem needs, by which single-task learning is a special case.
        init: Of the logits: "ones"; "diagonal" for 0.9 where task and group have the same number and
            0.1 / (K - 1) elsewhere; "gaussian" for draws of mean 1 and variance 0.04; "identity" for
            task n in group n, never trained.
        eps: What draws from [0, 1) are multiplied by before they are added to "ones".
        independent_heads: Whether the heads of groups after the first have their own initial draws.
        grad_scale: What gradients are multiplied by before heads, and before the groups' encoders:
            "none"; "intended" for 1 / sqrt(T) and 1 / sqrt(K); "code" for 1 / sqrt(K) twice, as the
            program does, where one number is read for the other.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        backbone: Backbone,
        tasks: Sequence[Task],
        *,
        seed: int,
        num_groups: int = 3,
        num_shared_stages: int = 0,
        init: Init = "ones",
        eps: float = 0.0,
        independent_heads: bool = False,
        grad_scale: GradScale = "none",
    ) -> None:
        super().__init__()
        self.tasks, self.num_groups = tuple(tasks), num_groups
        self.num_shared_stages = num_shared_stages
        self._rows = {task.name: n for n, task in enumerate(self.tasks)}
        _check_ranges(num_groups, num_shared_stages, len(backbone.stages))
        self._group_scale, self._task_scale = _scales(grad_scale, num_groups, len(self.tasks))
        if not num_shared_stages:  # nothing below is trained
            self._group_scale = 1.0
        heads = []
        for k in range(num_groups):
            purpose = f"head/{{}}/{k}" if independent_heads and k else "head/{}"
            heads.append(nn.ModuleDict(_make_heads(backbone, tasks, seed, purpose)))
        self.shared = nn.ModuleList(backbone.stages[:num_shared_stages])
        for k in range(num_shared_stages):
            backbone.stages[k] = nn.Identity()
        copies = [copy.deepcopy(backbone) for _ in range(num_groups - 1)]
        self.encoders, self.heads = nn.ModuleList([backbone, *copies]), nn.ModuleList(heads)
        with seeded(seed, "assignment"):
            logits = initial_logits(len(self.tasks), num_groups, init=init, eps=eps)
        self.assignment_logits = nn.Parameter(logits, requires_grad=init != "identity")

    def predictions_by_group(
        self, inputs: Any, tasks: Sequence[TaskName]
    ) -> list[dict[TaskName, Any]]:
        """Every group's predictions of some of the tasks.

        Args:
            inputs: As `Batch.inputs`.
            tasks: Names.
        """
        groups = range(self.num_groups)

        def encode(joint: Any) -> list[Features]:
            prefix = self._shared_pass(joint)
            return [self._group_pass(k, prefix) for k in groups]

        if isinstance(inputs, Mapping):
            own = encoded_by_task(encode, inputs, tasks)
        else:
            own = dict.fromkeys(tasks, encode(inputs))
        return [{task: self._head(k, task, own[task][k]) for task in tasks} for k in groups]

    def encode(self, inputs: Any, tasks: Sequence[TaskName]) -> Features:
        """By task, the features of its group; each group in use is computed once."""
        chosen = self.groups_of(tasks)
        if not isinstance(inputs, Mapping):
            prefix = self._shared_pass(inputs)
            features = {k: self._group_pass(k, prefix) for k in dict.fromkeys(chosen.values())}
            return {task: features[k] for task, k in chosen.items()}
        found: dict[TaskName, Any] = {}
        for k in dict.fromkeys(chosen.values()):
            members = [task for task, own in chosen.items() if own == k]
            found |= encoded_by_task(partial(self._whole_pass, k), inputs, members)
        return found

    def decode(self, features: Features, tasks: Sequence[TaskName]) -> dict[TaskName, Any]:
        """Each task's head of its group."""
        chosen = self.groups_of(tasks)
        return {task: self._head(k, task, features[task]) for task, k in chosen.items()}

    def groups_of(self, tasks: Sequence[TaskName]) -> dict[TaskName, int]:
        """The number of each task's group, from 0: the first of its largest logits."""
        chosen = self.assignment_logits.detach().argmax(dim=1).tolist()
        return {task: chosen[self._rows[task]] for task in tasks}

    def logits(self) -> Tensor:
        """[T, K] `assignment_logits`."""
        return self.assignment_logits

    def shared_parameters(self) -> list[nn.Parameter]:
        """Those of the shared stages, of all encoders, and the logits."""
        return [*self.shared.parameters(), *self.encoders.parameters(), self.assignment_logits]

    def task_parameters(self, task: TaskName) -> list[nn.Parameter]:
        """Those of its heads in all groups."""
        own = [heads[task] for heads in self.heads if isinstance(heads, nn.ModuleDict)]
        return [p for head in own for p in head.parameters()]

    def learned(self) -> Mapping[str, Any]:
        """Each task's group, and its logits and probabilities of all groups."""
        logits = self.assignment_logits.detach()
        names = [task.name for task in self.tasks]
        return {
            "group_of": self.groups_of(names),
            "logits": dict(zip(names, logits.tolist(), strict=True)),
            "probabilities": dict(zip(names, logits.softmax(1).tolist(), strict=True)),
        }

    def _shared_pass(self, inputs: Any) -> list[Any]:
        """The inputs, and what the shared stages make of them one after another."""
        outputs = [inputs]
        for stage in self.shared:
            outputs.append(stage(outputs[-1]))
        return outputs

    def _group_pass(self, k: int, prefix: Sequence[Any]) -> Features:
        """A group's features, from what the shared stages put out."""
        encoder = self.encoders[k]
        assert isinstance(encoder, Backbone)
        hidden, *outputs = scaled([prefix[-1], *prefix[1:]], self._group_scale)
        for stage in encoder.stages[self.num_shared_stages :]:
            hidden = stage(hidden)
            outputs.append(hidden)
        return encoder.merge(outputs)

    def _whole_pass(self, k: int, inputs: Any) -> Features:
        return self._group_pass(k, self._shared_pass(inputs))

    def _head(self, k: int, task: TaskName, features: Features) -> Any:
        heads = self.heads[k]
        assert isinstance(heads, nn.ModuleDict)
        return heads[task](scaled(features, self._task_scale))


def initial_logits(num_tasks: int, num_groups: int, *, init: Init, eps: float = 0.0) -> Tensor:
    """[T, K] as `Grouped` describes; random ones from torch's CPU generator.

    Raises:
        ValueError: If there are fewer groups than tasks where each task needs its own.
    """
    if init == "ones":
        return torch.ones(num_tasks, num_groups) + eps * torch.rand(num_tasks, num_groups)
    if init == "gaussian":
        return 1 + 0.2 * torch.randn(num_tasks, num_groups)
    diagonal = torch.eye(num_tasks, num_groups)
    if init == "diagonal":
        return torch.where(diagonal > 0, 0.9, 0.1 / max(1, num_groups - 1))
    if num_groups < num_tasks:
        raise ValueError(
            f"`num_groups` should be the number of tasks ({num_tasks}) or more where task n stays in "
            f"group n. Found `num_groups = {num_groups}`. Set method.num_groups, or another "
            f"method.sample."
        )
    return diagonal


def _scales(grad_scale: GradScale, num_groups: int, num_tasks: int) -> tuple[float, float]:
    """The factors before the groups' encoders and before the heads."""
    if grad_scale == "none":
        return 1.0, 1.0
    return 1 / math.sqrt(num_groups), 1 / math.sqrt(
        num_tasks if grad_scale == "intended" else num_groups
    )


def _make_heads(
    backbone: Backbone, tasks: Sequence[Task], seed: int, purpose: str
) -> dict[TaskName, nn.Module]:
    heads = {}
    for task in tasks:
        with seeded(seed, purpose.format(task.name)):
            heads[task.name] = backbone.make_head(task.output)
    return heads


def _check_ranges(num_groups: int, num_shared_stages: int, num_stages: int) -> None:
    if num_groups < 1:
        raise ValueError(
            f"`num_groups` should be at least 1. Found `num_groups = {num_groups}`. Set "
            f"method.num_groups."
        )
    if not 0 <= num_shared_stages < num_stages:
        raise ValueError(
            f"`num_shared_stages` should leave the groups a stage at least: between 0 and "
            f"{num_stages - 1} for this backbone. Found `num_shared_stages = {num_shared_stages}`. "
            f"Set method.num_shared_stages."
        )
