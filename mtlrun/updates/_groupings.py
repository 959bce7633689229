"""Ways to partition tasks by a tracked affinity."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from mtlrun.core.identity import Identified

Partition = tuple[tuple[int, ...], ...]  # groups by first task, tasks ascending
GroupingName = Literal[
    "sign_graph", "cliques", "affinity_propagation", "heterogeneous", "singletons", "all", "random",
    "static",
]  # fmt: skip


class Grouping(Identified):
    """Partitions T tasks.

    Attributes:
        reads_affinity: Whether the affinity matters; if not, there is nothing to wait for.
    """

    reads_affinity: bool = True

    @abstractmethod
    def partition(
        self, affinity: Tensor, before: Partition, generator: torch.Generator
    ) -> Partition:
        """The groups of the next batch.

        Args:
            affinity: [T, T] on CPU, row = source, column = target, positive helps.
            before: The groups so far.
            generator: For strategies that draw, on CPU.
        """


class SignGraph(Grouping):
    """Connected components of the tasks that help each other.

    Source: Selective Task Group Updates, Section 3.3: groups are formed of positive affinities. Two
    tasks are joined where both directions are above 0; 0 itself joins none, or the first batch's
    zeros would join all (the text has both).
    """

    def partition(
        self, affinity: Tensor, before: Partition, generator: torch.Generator
    ) -> Partition:
        """Components; a negative pair may be within one, through others."""
        return components(mutual(affinity))


class Cliques(Grouping):
    """Groups in which all pairs help each other, merged greedily from the strongest pair on.

    A pair's strength is the smaller of its two directions.
    """

    def partition(
        self, affinity: Tensor, before: Partition, generator: torch.Generator
    ) -> Partition:
        """Cliques of the sign graph that together are all tasks."""
        joined = mutual(affinity)
        strength = torch.minimum(affinity, affinity.T)
        group_of = {task: {task} for task in range(len(affinity))}
        pairs = [(i, j) for i in group_of for j in range(i) if joined[i, j]]
        for i, j in sorted(pairs, key=lambda pair: -float(strength[pair])):
            one, other = group_of[i], group_of[j]
            if one is not other and all(joined[a, b] for a in one for b in other):
                one |= other
                group_of |= dict.fromkeys(other, one)
        return canonical([sorted(group) for group in group_of.values()])


class Heterogeneous(Grouping):
    """Connected components of the tasks that harm each other: the opposite of the paper's rule.

    Source: Selective Task Group Updates, Table D.5, which does not say how its row was made.
    """

    def partition(
        self, affinity: Tensor, before: Partition, generator: torch.Generator
    ) -> Partition:
        """Components of the pairs that are below 0 in both directions."""
        return components(mutual(-affinity))


class Singletons(Grouping):
    """Every task alone: the row "Separate" of Table 5."""

    reads_affinity = False

    def partition(
        self, affinity: Tensor, before: Partition, generator: torch.Generator
    ) -> Partition:
        """T groups."""
        return tuple((task,) for task in range(len(affinity)))


class All(Grouping):
    """All tasks together: joint training."""

    reads_affinity = False

    def partition(
        self, affinity: Tensor, before: Partition, generator: torch.Generator
    ) -> Partition:
        """One group."""
        return (tuple(range(len(affinity))),)


class Random(Grouping):
    """A fixed number of groups, drawn anew for every batch.

    Source: Selective Task Group Updates, Table D.5, which does not say whether its groups are drawn
    once or for every batch, nor how. Here tasks in random order are dealt out one by one.

    Args:
        num_groups: At most T of them are not empty.
    """

    reads_affinity = False

    def __init__(self, *, num_groups: int = 2) -> None:
        if num_groups < 1:
            raise ValueError(
                f"`num_groups` should be at least 1. Found `num_groups = {num_groups}`. "
                f"Set method.num_groups."
            )
        self.num_groups = num_groups

    def partition(
        self, affinity: Tensor, before: Partition, generator: torch.Generator
    ) -> Partition:
        """Groups whose sizes differ by one task at most."""
        dealt = torch.randperm(len(affinity), generator=generator).tolist()
        return canonical([dealt[k :: self.num_groups] for k in range(self.num_groups)])


class Static(Grouping):
    """Given groups.

    Args:
        groups: Indices of tasks; every task in one group.
    """

    reads_affinity = False

    def __init__(self, groups: Sequence[Sequence[int]]) -> None:
        self.given = canonical(groups)

    @classmethod
    def named(cls, groups: Sequence[Sequence[str]], tasks: Sequence[str]) -> "Static":
        """From names.

        Args:
            groups: Names of tasks.
            tasks: T names.

        Raises:
            ValueError: If not every task is in exactly one group.
        """
        found = [name for group in groups for name in group]
        if sorted(found) != sorted(tasks):
            raise ValueError(
                f"`groups` should hold each of {', '.join(tasks)} once. Found "
                f"{'; '.join('+'.join(group) for group in groups) or 'none'}. Set method.groups."
            )
        return cls([[list(tasks).index(name) for name in group] for group in groups])

    def partition(
        self, affinity: Tensor, before: Partition, generator: torch.Generator
    ) -> Partition:
        """The given groups."""
        return self.given


SIMPLE: Mapping[str, type[Grouping]] = {
    "sign_graph": SignGraph,
    "cliques": Cliques,
    "heterogeneous": Heterogeneous,
    "singletons": Singletons,
    "all": All,
}


def mutual(affinity: Tensor) -> Tensor:
    """[T, T] bool, whether both directions of a pair are above 0."""
    positive = affinity > 0
    return positive & positive.T


def components(joined: Tensor) -> Partition:
    """Connected components of an undirected graph.

    Args:
        joined: [T, T] bool, symmetric; the diagonal does not matter.
    """
    free, groups = set(range(len(joined))), []
    rows = joined.tolist()
    while free:
        reached, waiting = set(), [min(free)]
        while waiting:
            task = waiting.pop()
            reached.add(task)
            waiting += [k for k in free - reached if rows[task][k]]
        free -= reached
        groups.append(reached)
    return canonical(groups)


def canonical(groups: Sequence[Sequence[int] | set[int]]) -> Partition:
    """Groups by their first tasks, empty and repeated ones left out."""
    return tuple(sorted({tuple(sorted(group)) for group in groups if group}))
