"""Affinities between tasks, groups of tasks, and what finds groups. Needs no torch."""

import json
import sys
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from mtlrun.core.identity import Identified

Objective = Literal["gain", "best_group", "hoa"]


@dataclass(frozen=True, eq=False)
class Affinity:
    """How tasks help each other.

    Attributes:
        tasks: T names.
        values: [T, T] float64; values[i, j] is what training task i (source) does for task j
            (target); positive helps. Of kind "hoa" the error of j when trained with i, alone on
            the diagonal.
        num_observations: How many collected batches, at most, an entry is the mean of.
        kind: What collected it, such as "lookahead".
        noise_floor: The size below which an entry is float rounding; None if not estimated.
        details: Further facts about the collection, by name.
    """

    tasks: tuple[str, ...]
    values: np.ndarray
    num_observations: int
    kind: str
    noise_floor: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        size = len(self.tasks)
        if self.values.shape != (size, size):
            raise ValueError(
                f"An affinity of {size} tasks should be {size} x {size}. Found {self.values.shape}."
            )

    def helps(self) -> np.ndarray:
        """[T, T], positive helps whatever the kind: of errors, how much less than alone they are."""
        return self.values.diagonal() - self.values if self.kind == "hoa" else self.values

    def in_words(self) -> str:
        """What the entries of `helps` are, a sentence."""
        if self.kind == "hoa":
            return "By how much the target's validation error is less than alone."
        return f"{self.num_observations} observations."

    def warning(self) -> str | None:
        """A line for the person who watches, if the entries drown in float rounding."""
        if self.noise_floor is None or len(self.tasks) < 2:
            return None
        typical = float(np.median(np.abs(self.values[~np.eye(len(self.tasks), dtype=bool)])))
        if typical >= self.noise_floor:
            return None
        exact = self.details.get("gains") == "exact"
        ways = "method.collector.gains=first_order, a larger optimizer.lr or " if exact else ""
        return (
            f"Warning: the typical {self.kind} affinity ({typical:.2g}) lies below its rounding "
            f"noise ({self.noise_floor:.2g}): the groups are not to be trusted. "
            f"Set {ways}a larger trainer.collect_epochs."
        )

    def to_json(self) -> str:
        """As text, losslessly: JSON holds the shortest decimal that reads back as the same float."""
        return json.dumps(
            {
                "tasks": list(self.tasks),
                "values": [[float(v) for v in row] for row in self.values],
                "num_observations": self.num_observations,
                "kind": self.kind,
                "noise_floor": self.noise_floor,
                "details": dict(self.details),
            },
            indent=1,
        )

    @classmethod
    def from_json(cls, text: str) -> "Affinity":
        """The inverse of `to_json`.

        Raises:
            ValueError: If the text is not an affinity.
        """
        try:
            entry = json.loads(text)
            return cls(
                tuple(str(task) for task in entry["tasks"]),
                np.array(entry["values"], dtype=np.float64),
                int(entry["num_observations"]),
                str(entry["kind"]),
                entry.get("noise_floor"),
                entry.get("details", {}),
            )
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(
                f"An affinity file should hold tasks, values, num_observations and kind. Found {error!r}."
            ) from error


@dataclass(frozen=True)
class Group:
    """Tasks trained together, and those whose score may be read from this training."""

    tasks: tuple[str, ...]
    serves: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.tasks or not set(self.serves) <= set(self.tasks):
            raise ValueError(
                f"A group should hold a task at least and serve tasks of its own. "
                f"Found tasks {self.tasks} and serves {self.serves}."
            )

    @classmethod
    def of(cls, tasks: Sequence[str]) -> "Group":
        """A group that may serve all of its tasks."""
        return cls(tuple(tasks), tuple(tasks))


@dataclass(frozen=True)
class Plan:
    """What phase 1 hands to phase 2, as plan.json.

    Attributes:
        groups: Trained in phase 2. A task that several of them serve is scored by the one that is
            best on the validation split.
        settings: What phase 2 is told, and what a reader should know, by name.
        objective: The solver's value of the groups; None where nothing was solved.
        bound: Proven: no grouping scores better than this; None where nothing was proven.
        status: "optimal" (within 1e-6 relative), "feasible", or "given" where nothing was solved.
        proof: What proved the bound, in words.
        draws: Groupings whose results are averaged instead (the random policy); their groups are
            all in `groups`.
    """

    groups: tuple[Group, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    objective: float | None = None
    bound: float | None = None
    status: str = "given"
    proof: str = ""
    draws: tuple[tuple[Group, ...], ...] = ()

    @property
    def gap(self) -> float | None:
        """How far the bound is from the objective, relative to it; None where nothing was proven."""
        if self.objective is None or self.bound is None:
            return None
        difference = abs(self.bound - self.objective)
        return difference / max(abs(self.objective), sys.float_info.min) if difference else 0.0

    def to_json(self) -> str:
        """As text that a person can read and edit."""
        return json.dumps(
            {
                "groups": [{"tasks": list(g.tasks), "serves": list(g.serves)} for g in self.groups],
                "settings": dict(self.settings),
                "objective": self.objective,
                "bound": self.bound,
                "status": self.status,
                "proof": self.proof,
                "draws": [
                    [{"tasks": list(g.tasks), "serves": list(g.serves)} for g in draw]
                    for draw in self.draws
                ],
            },
            indent=1,
        )

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """The inverse of `to_json`; a group without `serves` serves all of its tasks.

        Raises:
            ValueError: If the text is not a plan.
        """
        try:
            entry = json.loads(text)
            return cls(
                tuple(_group(g) for g in entry["groups"]),
                entry.get("settings", {}),
                entry.get("objective"),
                entry.get("bound"),
                entry.get("status", "given"),
                entry.get("proof", ""),
                tuple(tuple(_group(g) for g in draw) for draw in entry.get("draws", [])),
            )
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(
                f'A plan should be {{"groups": [{{"tasks": [...]}}, ...]}}. Found {error!r}.'
            ) from error


def _group(entry: Mapping[str, Any]) -> Group:
    tasks, serves = entry["tasks"], entry.get("serves", entry["tasks"])
    for names in (tasks, serves):
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise TypeError(f"{names!r} where a list of tasks' names should be")
    return Group(tuple(tasks), tuple(serves))


class GroupingSolver(Identified):
    """Finds groups. Its limits (number of groups, sizes, budgets) are constructor arguments."""

    num_groups: int

    def check(self, tasks: Sequence[str], *, objective: Objective) -> None:
        """Refuses, before anything is collected, limits that no groups of the tasks can meet.

        Args:
            tasks: That will be grouped.
            objective: The method's; the solver's own setting, where given, wins.

        Raises:
            ValueError: If there are fewer than `num_groups` distinct groups.
        """
        existing = 2 ** len(tasks) - 1
        if self.num_groups > existing:
            raise ValueError(
                f"`num_groups` should be between 1 and {existing}, the number of distinct groups "
                f"of {len(tasks)} tasks. Found `num_groups = {self.num_groups}`. Set "
                f"solver.num_groups."
            )

    @abstractmethod
    def solve(self, affinity: Affinity, *, objective: Objective) -> Plan:
        """The best groups by pairwise affinity.

        Args:
            affinity: Read as source by row, target by column.
            objective: The method's; the solver's own setting, where given, wins.

        Raises:
            ValueError: If the limits contradict each other or the affinity.
        """

    @abstractmethod
    def allowed_groups(self, tasks: Sequence[str]) -> list[tuple[str, ...]]:
        """Every group of the tasks within the limits on sizes and budgets, in a fixed order."""

    @abstractmethod
    def select(
        self, tasks: Sequence[str], groups: Sequence[Sequence[str]], scores: np.ndarray
    ) -> Plan:
        """The best cover by trained groups: at most `num_groups`, each task served by its best.

        Args:
            tasks: T names that must be covered.
            groups: G candidate groups.
            scores: [G, T] what each group gives each task, higher is better; ignored where the
                task is not in the group.

        Raises:
            ValueError: If the candidates cannot cover the tasks within the limits.
        """
