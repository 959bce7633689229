"""Groups drawn at random: what a grouping method has to beat."""

import numpy as np

from mtlrun.core.grouping import Group, Plan
from mtlrun.core.method import Lab
from mtlrun.core.seeding import seed_for
from mtlrun.methods._groups import GroupMethod


class Random(GroupMethod):
    """The mean result over groupings drawn uniformly among the covers of `solver.num_groups` groups.

    Source: the "Random" rows of PTG's tables (Section 5.1), the mean of ten draws.

    A draw is `num_groups` distinct, non-empty sets of tasks that together hold every task, within
    the solver's size limits.

    Args:
        num_draws: Groupings whose results are averaged.
    """

    def __init__(self, *, num_draws: int = 10) -> None:
        if num_draws < 1:
            raise ValueError(
                f"`num_draws` should be at least 1. Found `num_draws = {num_draws}`. "
                f"Set method.num_draws."
            )
        self.num_draws = num_draws

    def collect(self, lab: Lab) -> Plan:
        """Phase 1 trains nothing: it draws."""
        names = [task.name for task in lab.tasks]
        rng = np.random.default_rng(seed_for(lab.seed, "groupings"))
        draws = tuple(_draw(names, lab, rng) for _ in range(self.num_draws))
        groups = tuple(dict.fromkeys(group for draw in draws for group in draw))
        return Plan(groups, {"num_draws": self.num_draws}, draws=draws)


def _draw(names: list[str], lab: Lab, rng: np.random.Generator) -> tuple[Group, ...]:
    """One cover, by rejection from independent uniform subsets of allowed size."""
    size, solver = len(names), lab.solver
    candidates = solver.allowed_groups(names)
    masks = np.array([sum(1 << names.index(task) for task in group) for group in candidates])
    if solver.num_groups > len(masks):
        raise ValueError(
            f"`num_groups` should be at most the number of allowed groups ({len(masks)}). "
            f"Found `num_groups = {solver.num_groups}`. Set solver.num_groups."
        )
    full = (1 << size) - 1
    for _ in range(100_000):
        chosen = rng.choice(len(masks), solver.num_groups, replace=False)
        if int(np.bitwise_or.reduce(masks[chosen])) == full:
            return tuple(Group.of(candidates[index]) for index in sorted(chosen))
    raise ValueError(
        f"{solver.num_groups} groups within the size limits should be able to cover the {size} "
        f"tasks. Found no such draw. Raise solver.num_groups or solver.max_size."
    )
