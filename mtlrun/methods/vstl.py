"""Variational single-task learning: the baseline of VMTL without other tasks."""

from mtlrun.core.grouping import Group, Plan
from mtlrun.core.method import Lab
from mtlrun.methods._variational import SimplePriors


class VSTL(SimplePriors):
    """Every task alone, with random representations and classifier and priors N(0, I).

    Source: Shen et al., Variational Multi-Task Learning with Gumbel-Softmax Priors, NeurIPS 2021,
    supplement A.2 (VSTL).
    Differs: as `mtlrun.methods.vmtl.VMTL`.
    """

    def collect(self, lab: Lab) -> Plan:
        """One group a task."""
        super().collect(lab)
        return Plan(tuple(Group.of([task.name]) for task in lab.tasks))
