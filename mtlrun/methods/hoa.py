"""Grouping by what pairs of tasks tell of larger groups."""

from itertools import combinations

import numpy as np

from mtlrun.core.grouping import Affinity, Objective, Plan
from mtlrun.core.method import Lab
from mtlrun.methods._groups import GroupMethod
from mtlrun.methods._measured import MeasuredGroups, ScoreName, check_score


class HOA(GroupMethod):
    """Trains every task alone and every pair, and takes a group's error to be the mean of its pairs'.

    Source: the higher-order approximation of Standley et al., Which Tasks Should Be Learned Together
    in Multi-task Learning?, ICML 2020, arXiv:1905.07553; the "HOA" baseline of TAG and PTG.

    Error [i, j] is that of task j on the validation split when trained with i, [j, j] that of j alone.
    Where `val` is trained on (`data.val_share=0`) it says nothing of new examples, and a warning says
    so. T tasks take T (T + 1) / 2 trainings, whatever the solver's limits, so that other limits find
    them in the store, as phase 2 does.

    Args:
        score: The error: "loss" (Taskonomy), or "leading_metric", such as the accuracy (CelebA).
    """

    objective: Objective = "hoa"
    plans_by_val = True
    takes_affinity = True

    def __init__(self, *, score: ScoreName = "loss") -> None:
        check_score(score)
        self.score = score

    def collect(self, lab: Lab) -> Plan:
        """Phase 1 trains tasks and pairs; phase 2 finds those of the plan in the store."""
        names = tuple(task.name for task in lab.tasks)
        lab.solver.check(names, objective=self.objective)
        errors = lab.given_affinity or self._errors(lab, names)
        score = errors.details.get("score", self.score)
        if score != self.score:
            lab.say(f"Warning: the given errors are by `score = {score}`, not `{self.score}`.")
        lab.save_affinity(errors)
        return lab.solver.solve(errors, objective=self.objective)

    def _errors(self, lab: Lab, names: tuple[str, ...]) -> Affinity:
        measured = MeasuredGroups(lab, self.score)
        pairs = list(combinations(range(len(names)), 2))
        lab.say(f"hoa: {len(names)} tasks and {len(pairs)} pairs to train.")
        values = np.diag([measured.errors([name])[name] for name in names])
        for i, j in pairs:
            together = measured.errors([names[i], names[j]])
            values[i, j], values[j, i] = together[names[j]], together[names[i]]
        return Affinity(names, values, 1, "hoa", details={"score": self.score})
