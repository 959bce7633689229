"""A network that is undecided where each task leaves the public encoder."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from mtlrun.core.batch import TaskName
from mtlrun.core.model import Backbone, Features, MultiTaskModel
from mtlrun.core.seeding import seeded
from mtlrun.core.task import Task
from mtlrun.networks._by_task import encoded_by_task


class BranchSearch(MultiTaskModel):
    """Each task's head reads o_t = sum over p of beta_t^p f_t(f_S(x, p - 1), p, P - 1).

    Source: Deep Safe Multi-Task Learning, Section 6: p = 1 is a private encoder, p = P the
    public one; beta_t is the softmax of P logits, the weights of the losses that of T logits.
    Differs: where all encoders begin at the same weights, as in `dsmtl_al`, every branch is the same
    function at first, and beta has no gradient, but for rounding and dropout, until the first steps
    of the encoders part them. The mode of batch norm is not in the paper. Private batch norm sees up
    to P inputs in one pass; in training each is normalised by its own statistics, in evaluation by
    their running mixture, so that only the architecture is taken from this model.

    Public modules run once a pass, whatever the numbers of tasks and branch points; private module
    k of a task runs k times, once for every branch point up to it, on inputs that differ. That is
    (P - 1) + T P (P - 1) / 2 modules (`shared_stage_passes`), against T P (P - 1)
    (`naive_stage_passes`) where every branch begins at x.

    Args:
        public: The public encoder f_S of P - 1 stages.
        private: For every task its encoder f_t of the same structure.
        tasks: T of them, in the order of the losses.
        seed: Of the heads.
        learn_w: Whether the weights of the losses are searched too; else each is 1 / T.
    """

    def __init__(
        self,
        public: Backbone,
        private: Mapping[TaskName, Backbone],
        tasks: Sequence[Task],
        *,
        seed: int,
        learn_w: bool = True,
    ) -> None:
        super().__init__()
        self.tasks, self.public, self.learn_w = tuple(tasks), public, learn_w
        self.num_positions = len(public.stages) + 1
        heads = {}
        for task in tasks:
            with seeded(seed, f"head/{task.name}"):
                heads[task.name] = public.make_head(task.output)
        names = [task.name for task in tasks]
        self.heads = nn.ModuleDict(heads)
        self.private = nn.ModuleDict({name: private[name] for name in names})
        self.branch_logits = nn.ParameterDict(
            {name: nn.Parameter(torch.zeros(self.num_positions)) for name in names}
        )
        if learn_w:
            self.weight_logits: Tensor = nn.Parameter(torch.zeros(len(names)))
        else:
            self.register_buffer("weight_logits", torch.zeros(len(names)))
        self.stage_passes = 0
        positions, own = self.num_positions, len(names) * self.num_positions
        self.shared_stage_passes = (positions - 1) + own * (positions - 1) // 2
        self.naive_stage_passes = own * (positions - 1)

    def encode(self, inputs: Any, tasks: Sequence[TaskName]) -> Features:
        """The inputs, what the public modules put out, and their features; by task where inputs are."""
        if not isinstance(inputs, Mapping):
            return self._public_pass(inputs)
        return {"by_task": encoded_by_task(self._public_pass, inputs, tasks)}

    def decode(self, features: Features, tasks: Sequence[TaskName]) -> dict[TaskName, Any]:
        """Each task's head on the mean of its branches."""
        by_task = features.get("by_task")
        found = {}
        for task in tasks:
            own = by_task[task] if by_task else features
            found[task] = self.heads[task](self._mean_branch(own, task))
        return found

    def shared_parameters(self) -> list[nn.Parameter]:
        """The public encoder's, and the weights' logits."""
        return [*self.public.parameters(), *self.weight_parameters()]

    def task_parameters(self, task: TaskName) -> list[nn.Parameter]:
        """The private encoder's, the head's, and the branch points' logits."""
        own = [*self.private[task].parameters(), *self.heads[task].parameters()]
        return [*own, self.branch_logits[task]]

    def architecture(self) -> list[nn.Parameter]:
        """The logits of branch points and, if they are searched, of weights."""
        return [*self.branch_logits.values(), *self.weight_parameters()]

    def weight_parameters(self) -> list[nn.Parameter]:
        """The logits of the weights; none if these are not searched."""
        logits = self.weight_logits
        return [logits] if isinstance(logits, nn.Parameter) else []

    def branch_shares(self, task: TaskName) -> Tensor:
        """beta_t: [P], in [0, 1], of sum 1."""
        shares: Tensor = self.branch_logits[task].softmax(0)
        return shares

    def loss_weights(self) -> Tensor:
        """[T], in [0, 1], of sum 1."""
        return self.weight_logits.softmax(0)

    def learned(self) -> Mapping[str, Any]:
        """Shares of all branch points, the largest of them (the first of equals), and the weights."""
        names = [task.name for task in self.tasks]
        shares = {name: self.branch_shares(name).detach().tolist() for name in names}
        weights = self.loss_weights().detach().tolist()
        return {
            "branch_points": {name: own.index(max(own)) + 1 for name, own in shares.items()},
            "branch_shares": shares,
            "weights": dict(zip(names, weights, strict=True)),
        }

    def _public_pass(self, inputs: Any) -> dict[str, Any]:
        outputs, hidden = [], inputs
        for stage in self.public.stages:
            hidden = stage(hidden)
            outputs.append(hidden)
        self.stage_passes += len(outputs)
        return {"inputs": inputs, "outputs": outputs, "features": self.public.merge(outputs)}

    def _mean_branch(self, features: Mapping[str, Any], task: TaskName) -> Any:
        shares = self.branch_shares(task)
        mean = _scaled(shares[-1], features["features"])
        for branch in range(1, self.num_positions):
            suffix = self._branch(features, task, branch)
            mean = pytree.tree_map(_sum, mean, _scaled(shares[branch - 1], suffix))
        return mean

    def _branch(self, features: Mapping[str, Any], task: TaskName, branch: int) -> Any:
        """The private modules from a branch point on, and their features."""
        private = self.private[task]
        assert isinstance(private, Backbone)
        outputs = list(features["outputs"][: branch - 1])
        hidden = outputs[-1] if outputs else features["inputs"]
        for stage in private.stages[branch - 1 :]:
            hidden = stage(hidden)
            outputs.append(hidden)
        self.stage_passes += self.num_positions - branch
        return private.merge(outputs)


def _scaled(share: Tensor, features: Any) -> Any:
    return pytree.tree_map_only(Tensor, lambda leaf: share * leaf, features)


def _sum(one: Any, other: Any) -> Any:
    return one + other if isinstance(one, Tensor) else one
