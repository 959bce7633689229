"""What methods that train groups by hard sharing have in common."""

from collections.abc import Mapping, Sequence
from typing import Literal

from mtlrun.core.batch import TaskName
from mtlrun.core.grouping import Group, Objective, Plan
from mtlrun.core.method import AffinityCollector, Fitted, Lab, Method
from mtlrun.core.weighting import Weighting
from mtlrun.networks.hard_sharing import HardSharing
from mtlrun.updates.joint import Joint
from mtlrun.weightings.equal import Equal


class GroupMethod(Method):
    """Trains each group of the plan with one shared encoder and the configured weighting."""

    def train(self, lab: Lab, plan: Plan) -> dict[Group, Fitted]:
        """Phase 2: every group, each task set once; a single task needs no weighting."""
        return {group: fit_group(lab, group.tasks) for group in plan.groups}

    def references(self, lab: Lab) -> Mapping[TaskName, Fitted]:
        """The single-task trainings with the same settings that the store holds."""
        return find_single_tasks(lab)


class AffinityMethod(GroupMethod):
    """Groups by an affinity that is collected while all tasks are trained jointly.

    Attributes:
        collector: Estimates the affinity.
        objective: What the solver makes of it, unless the solver is told otherwise.
    """

    collector: AffinityCollector
    objective: Objective
    takes_affinity = True

    def collect(self, lab: Lab) -> Plan:
        """Phase 1: a joint training that the collector watches, then the solver's groups."""
        affinity = lab.given_affinity
        names = [task.name for task in lab.tasks]
        lab.solver.check(names, objective=self.objective)
        if affinity is None:
            rule = Joint(lab.make_weighting())
            model = make_model(lab, names)
            lab.fit(rule, model, names, phase="collect", observers=[self.collector])
            affinity = self.collector.affinity()
        lab.save_affinity(affinity)
        warning = affinity.warning()
        if warning is not None:
            lab.say(warning)
        return lab.solver.solve(affinity, objective=self.objective)


def make_model(lab: Lab, tasks: Sequence[TaskName]) -> HardSharing:
    """A fresh hard-sharing model; encoder and heads begin alike in every group."""
    chosen = [task for task in lab.tasks if task.name in set(tasks)]
    return HardSharing(lab.make_backbone(), chosen, seed=lab.seed)


def fit_group(
    lab: Lab, tasks: Sequence[TaskName], *, phase: Literal["collect", "train"] = "train"
) -> Fitted:
    """Trains a group jointly, by the budget of a phase."""
    return lab.fit(Joint(_weighting(lab, tasks)), make_model(lab, tasks), tasks, phase=phase)


def find_single_tasks(lab: Lab) -> dict[TaskName, Fitted]:
    """The single-task trainings with the lab's settings that are finished in the store."""
    found = {}
    for task in lab.tasks:
        names = [task.name]
        fitted = lab.find(Joint(Equal()), make_model(lab, names), names, phase="train")
        if fitted is not None:
            found[task.name] = fitted
    return found


def _weighting(lab: Lab, tasks: Sequence[TaskName]) -> Weighting:
    return lab.make_weighting() if len(tasks) > 1 else Equal()
