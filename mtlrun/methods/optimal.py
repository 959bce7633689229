"""The best grouping there is, found by training every group."""

import numpy as np

from mtlrun.core.grouping import Plan
from mtlrun.core.method import Lab
from mtlrun.methods._groups import GroupMethod
from mtlrun.methods._measured import MeasuredGroups


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
        measured = MeasuredGroups(lab, "leading_metric")
        for name in names:
            measured.errors([name])
        values = np.full((len(candidates), len(names)), np.nan)
        for row, group in enumerate(candidates):
            for task, gain in measured.gains(group).items():
                values[row, names.index(task)] = gain
        return lab.solver.select(names, candidates, values)
