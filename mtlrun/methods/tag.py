"""Task affinity groupings."""

from mtlrun.affinities.tag import TAGCollector
from mtlrun.core.grouping import Objective
from mtlrun.methods._groups import AffinityMethod


class TAG(AffinityMethod):
    """Groups by what a step on one task does to the losses of the others.

    Source: Fifty et al., Efficiently Identifying Task Groupings for Multi-Task Learning,
    NeurIPS 2021, arXiv:2109.04617, Sections 3 and 4.

    Args:
        collector: Estimates the affinity during phase 1's joint training.
    """

    objective: Objective = "best_group"

    def __init__(self, collector: TAGCollector) -> None:
        self.collector = collector
