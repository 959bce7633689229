"""Grouping by gradient similarity."""

from mtlrun.affinities.cosine import CosineCollector
from mtlrun.core.grouping import Objective
from mtlrun.methods._groups import AffinityMethod


class Cosine(AffinityMethod):
    """Groups by the cosine between the tasks' gradients.

    Source: the "CS" baseline of Fifty et al., NeurIPS 2021, arXiv:2109.04617, Section 5.

    Args:
        collector: Estimates the affinity during phase 1's joint training.
    """

    objective: Objective = "best_group"

    def __init__(self, collector: CosineCollector) -> None:
        self.collector = collector
