"""Principled task grouping."""

from mtlrun.affinities.lookahead import LookaheadCollector
from mtlrun.core.grouping import Objective
from mtlrun.methods._groups import AffinityMethod


class Lookahead(AffinityMethod):
    """Groups by PTG's lookahead transfer gain and its mathematical programme.

    Source: Towards Principled Task Grouping for Multi-Task Learning, Sections 4.1 and 4.2 (Eqs. 3
    and 8).
    Differs: a task that several groups train is scored by the one that is best on the validation
    split; `select_on=test` is the published rule (Section 5.1).

    Args:
        collector: Estimates the affinity during phase 1's joint training.
    """

    objective: Objective = "gain"

    def __init__(self, collector: LookaheadCollector) -> None:
        self.collector = collector
