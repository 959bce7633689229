"""A network for every task."""

from mtlrun.core.grouping import Group, Plan
from mtlrun.core.method import Lab
from mtlrun.methods._groups import GroupMethod


class SingleTask(GroupMethod):
    """Trains every task alone: the reference of all relative measures."""

    takes_weighting = False

    def collect(self, lab: Lab) -> Plan:
        """One group a task."""
        return Plan(tuple(Group.of([task.name]) for task in lab.tasks))
