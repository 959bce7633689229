"""A public encoder for all tasks, a private one for each, and gates between the two."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from torch import nn

from mtlrun.core.batch import TaskName
from mtlrun.core.model import Backbone, Features, MultiTaskModel
from mtlrun.core.seeding import seeded
from mtlrun.core.task import Task
from mtlrun.networks._by_task import encoded_by_task
from mtlrun.networks.gate import Gate, GateKind, mixed


class DSMTL(MultiTaskModel):
    """Each task's head reads r_t = alpha_t f_S(x) + (1 - alpha_t) f_t(x), alpha_t a learned scalar.

    Source: Deep Safe Multi-Task Learning, Sections 4.1 (gates) and 6 (branches): with branch
    points p_t the private encoder begins at module p_t, on what the public modules before it make
    of x; p_t = 1 is a whole private encoder, p_t = P none, and then there is no gate.
    Differs: where the features are several tensors, all are mixed. Of the authors' earlier program
    three variants are left out: gates of two independent sigmoids, one for the public and one for the
    private encoder, whose sum is not 1; a separate optimizer or a second level for alpha, which is a
    parameter like the others here; and batch norm that is frozen everywhere.

    The public encoder's parameters are shared; private modules, gate and head are the task's own.
    Private modules before a branch point, and public ones that no task reads, are not built.
    `alpha_t = 0` is single-task training; `alpha_t = 1` is hard sharing where the encoders are mixed
    after the last module, and else hard sharing of the modules up to `gate_position` with private
    ones after it.

    Args:
        public: The public encoder f_S of P - 1 stages.
        private: For every task whose branch point is below P, its encoder f_t of the same
            structure; taken over and pruned.
        tasks: In the order of the losses.
        seed: Of the heads, which begin as those of single-task training and hard sharing do.
        gate: How alpha is parametrised, see `Gate`.
        alpha_init: Where every alpha begins.
        learnable_gate: Whether alpha is trained.
        gate_position: The module, from 1 to P - 1, after which the two encoders are mixed; the
            private modules after it go on from there. None for the last, where what `merge` makes
            of all modules is mixed.
        branch_points: By task, from 1 to P; None for 1 everywhere.
        frozen: Whether the private encoders and heads stay as they are: no gradients, and
            evaluation mode, so that the statistics of batch norm do not drift.

    Raises:
        ValueError: If a position is out of range.
    """

    def __init__(
        self,
        public: Backbone,
        private: Mapping[TaskName, Backbone],
        tasks: Sequence[Task],
        *,
        seed: int,
        gate: GateKind = "clamp",
        alpha_init: float = 0.5,
        learnable_gate: bool = True,
        gate_position: int | None = None,
        branch_points: Mapping[TaskName, int] | None = None,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        self.tasks, self.frozen = tuple(tasks), frozen
        self.num_stages = len(public.stages)
        self.branch_points = {task.name: (branch_points or {}).get(task.name, 1) for task in tasks}
        self.gate_position = self.num_stages if gate_position is None else gate_position
        self._check_positions(branched=branch_points is not None)
        heads, gates, kept = {}, {}, {}
        for task in tasks:
            branch = self.branch_points[task.name]
            with seeded(seed, f"head/{task.name}"):
                heads[task.name] = public.make_head(task.output)
            if branch <= self.num_stages:
                kept[task.name] = _without(private[task.name], range(branch - 1))
                gates[task.name] = Gate(gate, alpha_init=alpha_init, learnable=learnable_gate)
        self.public = _without(public, range(self.gate_position, self.num_stages))
        self.private, self.heads = nn.ModuleDict(kept), nn.ModuleDict(heads)
        self.gates = nn.ModuleDict(gates)
        if frozen:
            self.private.requires_grad_(False)
            self.heads.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Training or evaluation mode; frozen parts stay in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.private.eval()
            self.heads.eval()
        return self

    def encode(self, inputs: Any, tasks: Sequence[TaskName]) -> Features:
        """The inputs, what the public modules put out, and their features; by task where inputs are."""
        if not isinstance(inputs, Mapping):
            return self._public_pass(inputs)
        return {"by_task": encoded_by_task(self._public_pass, inputs, tasks)}

    def decode(self, features: Features, tasks: Sequence[TaskName]) -> dict[TaskName, Any]:
        """Each task's private modules, gate and head."""
        by_task = features.get("by_task")
        return {task: self._decode(by_task[task] if by_task else features, task) for task in tasks}

    def representation(self, features: Features, task: TaskName) -> Any:
        """r_t, which the head of a task reads.

        Args:
            features: Of `encode`; the task's part of it where inputs differ.
            task: Its name.
        """
        if task not in self.private:
            return features["features"]
        private, gate = self.private[task], self.gates[task]
        assert isinstance(private, Backbone)
        first, last = self.branch_points[task] - 1, self.num_stages
        outputs = list(features["outputs"][:first])
        hidden = outputs[-1] if outputs else features["inputs"]
        for k in range(first, last):
            hidden = private.stages[k](hidden)
            if k + 1 == self.gate_position < last:
                hidden = mixed(gate(), features["outputs"][k], hidden)
            outputs.append(hidden)
        merged = private.merge(outputs)
        if self.gate_position < last:
            return merged
        return mixed(gate(), features["features"], merged)

    def shared_parameters(self) -> list[nn.Parameter]:
        """The public encoder's."""
        return list(self.public.parameters())

    def last_shared_layer(self) -> nn.Module:
        """The public encoder's own choice."""
        return self.public.last_shared_layer()

    def task_parameters(self, task: TaskName) -> list[nn.Parameter]:
        """Those of the private modules, the gate and the head."""
        parts = [part[task] for part in (self.private, self.gates) if task in part]
        return [p for part in (*parts, self.heads[task]) for p in part.parameters()]

    def project(self) -> None:
        """Brings the gates back to [0, 1]."""
        for gate in self._gates().values():
            gate.project()

    def learned(self) -> Mapping[str, Any]:
        """Alpha of every task (None where public and private encoder coincide), and branch points."""
        gates = self._gates()
        alphas = {
            name: float(gates[name].expected().detach()) if name in gates else None
            for name in self.branch_points
        }
        return {"alpha": alphas, "branch_points": dict(self.branch_points)}

    def _gates(self) -> dict[TaskName, Gate]:
        return {task: gate for task, gate in self.gates.items() if isinstance(gate, Gate)}

    def _public_pass(self, inputs: Any) -> dict[str, Any]:
        outputs, hidden = [], inputs
        for stage in self.public.stages[: self.gate_position]:
            hidden = stage(hidden)
            outputs.append(hidden)
        whole = self.gate_position == self.num_stages
        features = self.public.merge(outputs) if whole else None
        return {"inputs": inputs, "outputs": outputs, "features": features}

    def _decode(self, features: Mapping[str, Any], task: TaskName) -> Any:
        return self.heads[task](self.representation(features, task))

    def _check_positions(self, *, branched: bool) -> None:
        if not 1 <= self.gate_position <= self.num_stages:
            raise ValueError(
                f"`gate_position` should be between 1 and the encoder's number of modules "
                f"({self.num_stages}). Found `gate_position = {self.gate_position}`. "
                f"Set method.gate_position."
            )
        if branched and self.gate_position < self.num_stages:
            raise ValueError(
                f"Branched encoders should be mixed after the last module ({self.num_stages}). "
                f"Found `gate_position = {self.gate_position}`."
            )
        for task, branch in self.branch_points.items():
            if not 1 <= branch <= self.num_stages + 1:
                raise ValueError(
                    f"The branch point of task `{task}` should be between 1 and "
                    f"{self.num_stages + 1}. Found {branch}. Edit `branch_points` of the plan."
                )


def _without(backbone: Backbone, unused: range) -> Backbone:
    """An encoder whose unused stages are replaced by ones without parameters."""
    for k in unused:
        backbone.stages[k] = nn.Identity()
    return backbone
