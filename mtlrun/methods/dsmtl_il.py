"""Deep safe multi-task learning in two stages: single-task models first, then what they share."""

from typing import Literal

import torch

from mtlrun.core.batch import TaskName
from mtlrun.core.grouping import Group, Plan
from mtlrun.core.method import Fitted, Lab
from mtlrun.methods._dsmtl import make_dsmtl
from mtlrun.methods._groups import GroupMethod, fit_group
from mtlrun.networks.dsmtl import DSMTL
from mtlrun.networks.gate import GateKind
from mtlrun.updates.joint import Joint


class DSMTLIL(GroupMethod):
    """Trains the single-task models, freezes them, and trains a public encoder and gates beside them.

    Source: Deep Safe Multi-Task Learning, Section 4.2 (Eq. 3), "DSMTL-IL".
    Differs: losses are combined by `weighting=`. The recipes of the paper's data (nyuv2, cityscapes,
    pascal_context, taskonomy) average them, as the paper; on other data they are summed. The
    paper does not name the mode of batch norm in the frozen parts: they are in evaluation mode, so
    that `alpha = 0` is the single-task model exactly. With `keep=best` a task is served by its
    single-task model where that is better on the validation split; where that split is trained on, as
    by default on nyuv2, cityscapes and pascal_context (`data.val_share=0`, as in the paper), the choice
    is made on training data, and a warning and result.json say so. The lengths of the stages are
    not in the paper: stage 1 takes trainer.collect_epochs, by default as many as stage 2, and is then
    the training of `single_task`.

    Args:
        gate: How alpha is parametrised: "clamp", "sigmoid", "softmax2" or "hard".
        alpha_init: Where the gates begin in stage 2; 0 begins at the single-task models.
        gate_position: The module after which the encoders are mixed, from 1; None for the last.
        learnable_gate: Whether the gates are trained.
        keep: "stage2" for what stage 2 ends with; "best" for the better of the two stages, task
            by task, by the leading metric on the split `select_on`.
    """

    def __init__(
        self,
        *,
        gate: GateKind = "clamp",
        alpha_init: float = 0.5,
        gate_position: int | None = None,
        learnable_gate: bool = True,
        keep: Literal["stage2", "best"] = "stage2",
    ) -> None:
        self.gate: GateKind = gate
        self.alpha_init, self.gate_position = alpha_init, gate_position
        self.learnable_gate, self.keep = learnable_gate, keep

    def collect(self, lab: Lab) -> Plan:
        """Stage 1; with `keep=best` the single-task models stand in the plan beside stage 2's."""
        names = [task.name for task in lab.tasks]
        for name in names:
            fit_group(lab, [name], phase="collect")
        alone = [[name] for name in names] if self.keep == "best" else []
        return Plan(tuple(dict.fromkeys(Group.of(own) for own in [names, *alone])))

    def train(self, lab: Lab, plan: Plan) -> dict[Group, Fitted]:
        """Stage 2 for every group of several tasks; stage 1 is found in the store."""
        return {
            group: self._fit(lab, group)
            if len(group.tasks) > 1
            else fit_group(lab, group.tasks, phase="collect")
            for group in plan.groups
        }

    def _fit(self, lab: Lab, group: Group) -> Fitted:
        alone = {name: fit_group(lab, [name], phase="collect") for name in group.tasks}
        model = make_dsmtl(
            lab,
            group.tasks,
            gate=self.gate,
            alpha_init=self.alpha_init,
            gate_position=self.gate_position,
            learnable_gate=self.learnable_gate,
            frozen=True,
        )
        for name, fitted in alone.items():
            if fitted.weights.is_file():  # a dry run keeps none
                load_single_task(model, name, fitted)
        rule, keys = Joint(lab.make_weighting()), [fitted.key for fitted in alone.values()]
        return lab.fit(rule, model, group.tasks, phase="train", after=keys)


def load_single_task(model: DSMTL, task: TaskName, fitted: Fitted) -> None:
    """Gives a task's private encoder and head the weights of its single-task training.

    Args:
        model: With a whole private encoder for the task.
        task: Its name.
        fitted: Of `HardSharing` with this task alone.
    """
    state = torch.load(fitted.weights, map_location="cpu", weights_only=True)
    for prefix, part in (("backbone.", model.private[task]), (f"heads.{task}.", model.heads[task])):
        part.load_state_dict(
            {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        )
