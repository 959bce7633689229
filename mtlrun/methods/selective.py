"""Selective task group updates."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from mtlrun.core.batch import TaskName
from mtlrun.core.grouping import Affinity, Group, Plan
from mtlrun.core.method import Fitted, Lab
from mtlrun.methods._groups import GroupMethod, fit_group, make_model
from mtlrun.updates._affinity_propagation import AffinityPropagation
from mtlrun.updates._group_tracker import Order
from mtlrun.updates._groupings import SIMPLE, Grouping, GroupingName, Random, Static
from mtlrun.updates._proximal import Conflict, SelfUpdate
from mtlrun.updates.selective import Attribution, FrozenHeads, HeadRate, Noise, Selective

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "paper": {
        "grouping": "sign_graph",
        "attribution": "exact",
        "divide_by_group_size": False,
        "conflict": "abs",
        "self_update": "always",
        "warmup": 100,
        "head_lr_mult": 1.0,
        "frozen_heads": "none_grad",
        "noise": "shared",
    },
    "code": {
        "grouping": "affinity_propagation",
        "attribution": "lagged",
        "divide_by_group_size": True,
        "conflict": "signed",
        "self_update": "nonneg",
        "warmup": 101,
        "head_lr_mult": "num_tasks",
        "frozen_heads": "zero_grad",
        "noise": "fresh",
    },
}


class SelectiveUpdates(GroupMethod):
    """Groups tasks anew for every batch and lets the groups step one after another.

    Source: Selective Task Group Updates for Multi-Task Optimization, Section 3 and Algorithm 1.
    Differs: see `mtlrun.updates.selective.Selective`; the paper does not say how groups follow from
    affinities but that they are formed of positive ones, nor how long tasks begin alone.

    A setting that is None is the variant's; one that is given wins. The variants are in `VARIANTS`:
    "paper" is the paper's algorithm; "code" its published program, with the rate of heads of its
    configurations for NYUD-v2 and PASCAL-Context (for Taskonomy they say head_lr_mult 1, beta 1e-4).

    Args:
        variant: What settings that are None stand for.
        beta: Weight of a new value in the moving average of affinities.
        order: As in `Selective`, as are the following.
        loss_weights: By task.
        grouping: How groups follow from affinities, see `mtlrun.updates._groupings`.
        groups: Names of tasks, for grouping "static" only.
        num_groups: For grouping "random" only.
        attribution: Of measured changes to groups.
        divide_by_group_size: Whether a change is shared among the group's tasks.
        conflict: Of two tasks of a group whose losses moved apart.
        self_update: Of a task's entry for itself.
        warmup: Batches on which every task is alone.
        head_lr_mult: Of the learning rate of heads.
        frozen_heads: How the heads outside the group are kept.
        noise: Whether the passes of a batch draw alike.

    Raises:
        ValueError: If a number is out of range.
    """

    takes_weighting = False

    def __init__(
        self,
        *,
        variant: Literal["paper", "code"] = "paper",
        beta: float = 1e-3,
        order: Order = "random",
        loss_weights: Mapping[TaskName, float] | None = None,
        grouping: GroupingName | None = None,
        groups: Sequence[Sequence[TaskName]] | None = None,
        num_groups: int | None = None,
        attribution: Attribution | None = None,
        divide_by_group_size: bool | None = None,
        conflict: Conflict | None = None,
        self_update: SelfUpdate | None = None,
        warmup: int | None = None,
        head_lr_mult: HeadRate | None = None,
        frozen_heads: FrozenHeads | None = None,
        noise: Noise | None = None,
    ) -> None:
        given = {
            "grouping": grouping,
            "attribution": attribution,
            "divide_by_group_size": divide_by_group_size,
            "conflict": conflict,
            "self_update": self_update,
            "warmup": warmup,
            "head_lr_mult": head_lr_mult,
            "frozen_heads": frozen_heads,
            "noise": noise,
        }
        chosen = {k: own for k, own in given.items() if own is not None}
        self.settings = {**VARIANTS[variant], **chosen}
        self.grouping: GroupingName = self.settings.pop("grouping")
        self.settings |= {"beta": beta, "order": order, "loss_weights": dict(loss_weights or {})}
        self.groups, self.num_groups = groups, num_groups
        self.given = frozenset(chosen)
        self._rule(SIMPLE["all"](), seed=0)  # refuses numbers out of range
        if self.grouping == "random":
            self._random()

    def train(self, lab: Lab, plan: Plan) -> dict[Group, Fitted]:
        """Phase 2: every group of the plan, by default one of all tasks; a single task needs no groups."""
        names = [task.name for task in lab.tasks]
        self._check(names)
        self._warn(lab)
        return {group: self._fit(lab, group.tasks) for group in plan.groups}

    def _fit(self, lab: Lab, tasks: Sequence[TaskName]) -> Fitted:
        if len(tasks) == 1:
            return fit_group(lab, tasks)
        chosen = [task.name for task in lab.tasks if task.name in set(tasks)]
        rule = self._rule(self._grouping(chosen), seed=lab.seed)
        fitted = lab.fit(rule, make_model(lab, chosen), chosen, phase="train")
        if "affinity" not in fitted.learned:  # a dry run
            return fitted
        if len(chosen) == len(lab.tasks):
            lab.save_affinity(_affinity(fitted))
        share, rounding = fitted.learned["below_rounding"], fitted.learned["rounding"]
        if share > 0.5:
            lab.say(
                f"Warning: in {share:.0%} of the steps of {'+'.join(chosen)} the typical relative "
                f"change of a loss lay below the spacing of floats ({rounding:.2g}): affinities, and "
                f"groups formed by them, may be rounding. Set trainer.precision=fp32 or a larger "
                f"optimizer.lr."
            )
        return fitted

    def _rule(self, grouping: Grouping, *, seed: int) -> Selective:
        return Selective(grouping, seed=seed, **self.settings)

    def _grouping(self, tasks: Sequence[TaskName]) -> Grouping:
        if self.grouping == "static":
            groups = [[name for name in group if name in tasks] for group in self.groups or ()]
            return Static.named(groups, tasks)
        if self.grouping == "random":
            return self._random()
        if self.grouping == "affinity_propagation":
            return AffinityPropagation()
        return SIMPLE[self.grouping]()

    def _random(self) -> Random:
        return Random() if self.num_groups is None else Random(num_groups=self.num_groups)

    def _check(self, names: Sequence[TaskName]) -> None:
        """Refuses settings that do not fit the tasks."""
        if self.grouping == "static":
            Static.named(self.groups or (), names)
        order, weights = self.settings["order"], self.settings["loss_weights"]
        if not isinstance(order, str) and sorted(order) != sorted(names):
            raise ValueError(
                f"`order` should be random, forward, backward, or each of {', '.join(names)} once. "
                f"Found {', '.join(order)}. Set method.order."
            )
        if not set(weights) <= set(names):
            raise ValueError(
                f"`loss_weights` should be of {', '.join(names)}. Found "
                f"{', '.join(sorted(set(weights) - set(names)))}. Set method.loss_weights."
            )

    def _warn(self, lab: Lab) -> None:
        """Names settings without effect."""
        without = {
            name: f"without method.grouping={own}"
            for name, own in (("groups", "static"), ("num_groups", "random"))
            if getattr(self, name) is not None and self.grouping != own
        }
        chosen = f"with method.grouping={self.grouping}"
        if "warmup" in self.given and not self._reads_affinity():
            without["warmup"] = f"{chosen}, which reads no affinity"
        if self.grouping == "all":
            without |= dict.fromkeys(self.given & {"frozen_heads"}, chosen)
            if self.settings["order"] != "random":
                without["order"] = chosen
        for name, why in without.items():
            lab.say(f"Warning: `method.{name}` has no effect {why}.")

    def _reads_affinity(self) -> bool:
        makers: Mapping[str, type[Grouping]] = {
            "static": Static,
            "random": Random,
            "affinity_propagation": AffinityPropagation,
            **SIMPLE,
        }
        return makers[self.grouping].reads_affinity


def _affinity(fitted: Fitted) -> Affinity:
    """What was tracked, as it stood at the end."""
    tracked: Mapping[TaskName, Mapping[TaskName, float]] = fitted.learned["affinity"]
    values = np.array([[row[task] for task in fitted.tasks] for row in tracked.values()])
    details = {name: fitted.learned[name] for name in ("rounding", "below_rounding")}
    return Affinity(fitted.tasks, values, fitted.num_steps, "proximal", details=details)
