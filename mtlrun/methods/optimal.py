"""The best grouping there is, found by training every group."""

import numpy as np

from mtlrun.core.grouping import Plan
from mtlrun.core.method import Lab
from mtlrun.methods._groups import GroupMethod, fit_group


class Optimal(GroupMethod):
    """Trains every allowed group once and takes the grouping that is best on the validation split.

    Source: the "Optimal" rows of PTG's tables (Section 5.1), which score on the test split.
    Differs: chosen by the mean over tasks of the relative change of the leading metric to the
    single-task training on the validation split, so that tasks of different units weigh alike.

    Where `val` is trained on (`data.val_share=0`) that choice says nothing of new examples, and a warning
    says so.

    T tasks take 2**T - 1 trainings, fewer with `solver.max_size`.
    """

    plans_by_val = True

    def collect(self, lab: Lab) -> Plan:
        """Phase 1 trains all candidates; phase 2 finds the chosen ones in the store."""
        names = [task.name for task in lab.tasks]
        lab.solver.check(names, objective="best_group")
        candidates = lab.solver.allowed_groups(names)
        lab.say(f"optimal: {len(candidates)} groups to train.")
        values = np.full((len(candidates), len(names)), np.nan)
        alone = {name: fit_group(lab, [name]).scores["val"][name] for name in names}
        for row, group in enumerate(candidates):
            scores = fit_group(lab, group).scores["val"]
            for column, task in enumerate(lab.tasks):
                if task.name not in group:
                    continue
                metric = task.leading_metric
                sign = 1 if task.directions[metric] else -1
                reference = alone[task.name][metric]
                change = sign * (scores[task.name][metric] - reference)
                values[row, column] = change / (abs(reference) or 1.0)
        return lab.solver.select(names, candidates, values)
