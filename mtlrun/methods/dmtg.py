"""One-shot differentiable grouping: a network of all groups, whose assignment is learned with it."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch

from mtlrun.core.batch import TaskName
from mtlrun.core.grouping import Group, Plan
from mtlrun.core.method import Fitted, Lab
from mtlrun.methods._groups import GroupMethod
from mtlrun.methods._plan_settings import by_task
from mtlrun.networks.grouped import GradScale, Grouped, Init
from mtlrun.networks.pruned import PrunedGroup
from mtlrun.updates._assignment import Sample, TauSchedule
from mtlrun.updates.fine_tune import FineTune
from mtlrun.updates.one_shot import OneShot
from mtlrun.weightings.equal import Equal

TAU = 2.5  # the program's on CelebA
UNDECIDED = 0.01  # between the probabilities of the two likeliest groups


class DMTG(GroupMethod):
    """Trains every task in K groups at once, its losses mixed by a learned assignment; then prunes.

    Source: Gao et al., DMTG: One-Shot Differentiable Multi-Task Grouping, ICML 2024, arXiv:2407.05082,
    appendix A; what is not told there is as in the released program. See
    `mtlrun.networks.grouped.Grouped` and `mtlrun.updates.one_shot.OneShot`.
    Differs: the program keeps the weights of the epoch at which both the training and the validation
    loss were the least so far; here `trainer.select` says which. Its fine-tuning was not
    released: length and rate are settings, and the tasks' losses are summed as before.

    Phase 1 (trainer.collect_epochs, else trainer.epochs) trains the network of all groups; every task
    then belongs to the group of its largest logit, and empty groups are dropped. Phase 2 takes over
    the weights of what is left, group by group: shared stages, encoder and the heads of its tasks.
    It trains them `finetune_epochs` more, the shared stages frozen and in evaluation mode.

    Args:
        num_groups: K, at most so many groups are left.
        num_shared_stages: Of the backbone, that all groups have in common.
        sample: As in `OneShot`, as are the following.
        tau: The temperature.
        tau_schedule: Whether it moves.
        tau_end: Where to.
        entropy_weight: Of the binary entropy of the assignment.
        init: Of the logits, as in `Grouped`, as are the following.
        eps: Of draws that are added to them.
        independent_heads: Whether heads differ from group to group at the start.
        grad_scale: Of gradients into encoders and shared stages.
        finetune_epochs: Of phase 2; 0 for the pruned network as it is.
        finetune_lr: Its learning rate; None for optimizer.lr.

    Raises:
        ValueError: If a number is out of range.
    """

    takes_weighting = False

    def __init__(
        self,
        *,
        num_groups: int = 3,
        num_shared_stages: int = 0,
        sample: Sample = "gumbel",
        tau: float = TAU,
        tau_schedule: TauSchedule = "constant",
        tau_end: float | None = None,
        entropy_weight: float = 0.0,
        init: Literal["ones", "diagonal", "gaussian"] = "ones",
        eps: float = 0.0,
        independent_heads: bool = False,
        grad_scale: GradScale = "none",
        finetune_epochs: int = 0,
        finetune_lr: float | None = None,
    ) -> None:
        if finetune_epochs < 0:
            raise ValueError(
                f"`finetune_epochs` should be 0 or more. Found `finetune_epochs = "
                f"{finetune_epochs}`. Set method.finetune_epochs."
            )
        self.num_groups, self.num_shared_stages = num_groups, num_shared_stages
        self.sample: Sample = sample
        self.tau, self.tau_end, self.entropy_weight = tau, tau_end, entropy_weight
        self.tau_schedule: TauSchedule = tau_schedule
        self.init: Init = "identity" if sample == "diagonal" else init
        self._init_is_idle = sample == "diagonal" and init != "ones"
        self.eps, self.independent_heads = eps, independent_heads
        self.grad_scale: GradScale = grad_scale
        self.finetune_epochs, self.finetune_lr = finetune_epochs, finetune_lr
        self._rule(seed=0)  # refuses numbers out of range
        FineTune(Equal(), lr=finetune_lr)

    def collect(self, lab: Lab) -> Plan:
        """Phase 1: all groups; the plan's settings are `group_of` and `probabilities`."""
        self._warn(lab)
        fitted = self._fit_all(lab)
        learned = fitted.learned or self._model(lab).learned()  # a dry run has learned nothing
        chosen: Mapping[TaskName, int] = learned["group_of"]
        if fitted.learned and self.sample != "diagonal":
            warning = undecided(learned["probabilities"])
            if warning is not None:
                lab.say(warning)
        groups = [
            [task for task, own in chosen.items() if own == k] for k in range(self.num_groups)
        ]
        settings = {name: learned[name] for name in ("group_of", "probabilities")}
        return Plan(tuple(Group.of(tasks) for tasks in groups if tasks), settings)

    def train(self, lab: Lab, plan: Plan) -> dict[Group, Fitted]:
        """Phase 2: what is left of every group of the plan; phase 1 is found in the store."""
        numbers = {group: self._number(plan, group) for group in plan.groups}
        whole = self._fit_all(lab)
        found = {group: self._fit_group(lab, group, k, whole) for group, k in numbers.items()}
        kept = sum(fitted.num_parameters for fitted in found.values())
        common = [fitted.learned.get("common_parameters", 0) for fitted in found.values()]
        if not whole.learned:  # a dry run has not decided anything
            return found
        lab.say(
            f"Pruned: {len(found)} of {self.num_groups} groups are left, with "
            f"{kept - sum(common[1:]):,} of {whole.num_parameters:,} parameters."
        )
        return found

    def _model(self, lab: Lab) -> Grouped:
        return Grouped(
            lab.make_backbone(),
            lab.tasks,
            seed=lab.seed,
            num_groups=self.num_groups,
            num_shared_stages=self.num_shared_stages,
            init=self.init,
            eps=self.eps,
            independent_heads=self.independent_heads,
            grad_scale=self.grad_scale,
        )

    def _rule(self, *, seed: int) -> OneShot:
        return OneShot(
            seed=seed,
            sample=self.sample,
            tau=self.tau,
            tau_schedule=self.tau_schedule,
            tau_end=self.tau_end,
            entropy_weight=self.entropy_weight,
        )

    def _fit_all(self, lab: Lab) -> Fitted:
        names = [task.name for task in lab.tasks]
        return lab.fit(self._rule(seed=lab.seed), self._model(lab), names, phase="collect")

    def _fit_group(self, lab: Lab, group: Group, number: int, whole: Fitted) -> Fitted:
        model = PrunedGroup(
            lab.make_backbone(),
            [task for task in lab.tasks if task.name in set(group.tasks)],
            seed=lab.seed,
            group=number,
            num_shared_stages=self.num_shared_stages,
        )
        if whole.weights.is_file():  # a dry run keeps none
            model.take(torch.load(whole.weights, map_location="cpu", weights_only=True, mmap=True))
        return lab.fit(
            FineTune(Equal(), lr=self.finetune_lr),
            model,
            group.tasks,
            phase="train",
            after=[whole.key],
            epochs=self.finetune_epochs,
        )

    def _number(self, plan: Plan, group: Group) -> int:
        """Which of the network's groups a group of the plan takes its weights from.

        Raises:
            ValueError: If the plan does not name one.
        """
        chosen: dict[TaskName, int] = by_task(plan, "group_of", group, int, method="dmtg")
        numbers = sorted(set(chosen.values()))
        if len(numbers) != 1 or not 0 <= numbers[0] < self.num_groups:
            raise ValueError(
                f"The tasks of a group of the plan should all be of one of the {self.num_groups} "
                f"groups that were trained, 0 to {self.num_groups - 1}. Found "
                + ", ".join(f"{task} of {k}" for task, k in chosen.items())
                + ". Edit `group_of` under the plan's `settings`."
            )
        return numbers[0]

    def _warn(self, lab: Lab) -> None:
        """Names settings without effect."""
        sampled, moving = f"with method.sample={self.sample}", self.tau_schedule != "constant"
        drawn = self.sample not in ("softmax", "diagonal")
        without = [
            ("tau", sampled, self.tau != TAU and not drawn),
            ("tau_schedule", sampled, moving and not drawn),
            ("init", sampled, self._init_is_idle),
            ("tau_end", "with method.tau_schedule=constant", self.tau_end and not moving),
            ("entropy_weight", sampled, self.entropy_weight and self.sample == "diagonal"),
            ("eps", f"with initial logits `{self.init}`", self.eps and self.init != "ones"),
            ("finetune_lr", "without epochs", self.finetune_lr and not self.finetune_epochs),
        ]
        for name, why, is_without in without:
            if is_without:
                lab.say(f"Warning: `method.{name}` has no effect {why}.")


def undecided(probabilities: Mapping[TaskName, Sequence[float]]) -> str | None:
    """A warning if some tasks' groups are hardly more likely than others; None if none are.

    Args:
        probabilities: By task, of all groups.
    """
    gaps = {}
    for task, own in probabilities.items():
        first, second = sorted([*own, 0.0], reverse=True)[:2]
        gaps[task] = first - second
    bad = [task for task, gap in gaps.items() if gap < UNDECIDED]
    if not bad:
        return None
    return (
        f"Warning: the logits of {', '.join(bad)} hardly moved: their two likeliest groups differ in "
        f"probability by less than {UNDECIDED}, and of equal ones the first is taken. Set a larger "
        f"trainer.collect_epochs or optimizer.lr."
    )
