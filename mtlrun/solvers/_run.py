"""What column generation knows at any time: groups, the linear program's duals, the best choice, the bound."""

from dataclasses import dataclass

import numpy as np

from mtlrun.solvers._answer import Answer
from mtlrun.solvers._build import Builder
from mtlrun.solvers._clock import Clock
from mtlrun.solvers._family import total
from mtlrun.solvers._items import Items, keys_of, unique_groups
from mtlrun.solvers._master import Duals, LinearMaster, Shape
from mtlrun.solvers._served_parts import ServedParts
from mtlrun.solvers._whole_groups import WholeGroups
from mtlrun.solvers.problem import Problem

CLOSE = 2e-7  # a gap that is none, relative to the value
FLAT = 1e-10  # and, for every group, in units of the largest entry
BATCH = 80  # groups that are added to the linear program at once


@dataclass
class Found:
    """The best groups, and what no groups are above, both as sums in units of the largest entry."""

    groups: np.ndarray
    value: float
    bound: float
    proof: str


class Run:
    """One solution of a problem in progress.

    Args:
        problem: What is asked.
        clock: When to stop.
        list_all: Up to so many items all groups are looked at, one by one.

    Attributes:
        found: The best so far.
        known: [K, N] groups that fit a slot.
        all_known: Whether these are all there are.
        duals: Of the last linear program; None before it.
        center: The duals with the lowest bound so far, if no unknown group exceeds its price.
        relaxed: Whether bounds without listings were tried.
        tilt: [R] rewards at which a relaxation's bound is lowest; None without one.
        priced: Whether a search found no more groups worth more than the linear program's prices.
        settled: Groups known at the last integer program.
        nodes: That exact searches looked at.
        preparing_seconds: Seconds that their multipliers took.
    """

    found: Found

    def __init__(self, problem: Problem, clock: Clock, list_all: int) -> None:
        self.problem, self.clock = problem, clock
        self.items = Items.of(problem)
        whole = problem.objective == "gain" or problem.joins[1] == 1
        self.family = WholeGroups(self.items) if whole else ServedParts(self.items)
        least, most = self.family.row_limits
        self.shape = Shape(
            self.family.num_rows,
            least,
            most,
            tuple(len(kind) for kind in self.items.kinds),
            self.family.exactly,
            self.family.distinct,
        )
        self.rng = np.random.default_rng(0)
        self.master = LinearMaster(self.shape)
        self.builder = Builder(self.family, self.shape, self.rng)
        self.known = np.zeros((0, len(self.items)), dtype=bool)
        self.keys: set[bytes] = set()
        self.all_known = len(self.items) <= list_all
        self.duals: Duals | None = None
        self.center: Duals | None = None
        self.relaxed = False
        self.tilt: np.ndarray | None = None
        self.priced = False
        self.settled = 0
        self.nodes, self.preparing_seconds = 0, 0.0

    # -- groups ------------------------------------------------------------------------------

    def unknown(self, groups: np.ndarray) -> np.ndarray:
        """[K'] positions of groups [K, N] that are not known yet."""
        return np.array(
            [k for k, key in enumerate(keys_of(groups)) if bytes(key) not in self.keys], dtype=int
        )

    def learn(self, groups: np.ndarray) -> int:
        """Remembers groups that fit a slot; how many are new."""
        if not len(groups):
            return 0
        groups = unique_groups(groups[self.unknown(groups)])
        groups = groups[self.items.fits(groups).any(0)] if len(groups) else groups
        if len(groups):
            self.keys.update(map(bytes, keys_of(groups)))
            self.known = np.concatenate([self.known, groups])
        return len(groups)

    def add(self, groups: np.ndarray) -> int:
        """Puts groups into the linear program, serving what they serve best at present; how many are new."""
        if not len(groups):
            return 0
        rewards = np.zeros(self.family.num_rows) if self.duals is None else self.duals.rewards
        rows, values = self.family.columns(groups, rewards)
        own = rows.any(1)
        return self.master.add(groups[own], rows[own], values[own], self.items.fits(groups)[:, own])

    def take(self, groups: np.ndarray) -> None:
        """Keeps groups if they are better than what was found so far."""
        groups = self.needed(groups)
        value = total(self.family, groups)
        if value > self.found.value:
            self.found.groups, self.found.value = groups, value

    def needed(self, groups: np.ndarray) -> np.ndarray:
        """The groups, less those without which the others are worth as much."""
        groups = unique_groups(groups)
        if isinstance(self.family, WholeGroups):
            return groups
        value = total(self.family, groups)
        for k in reversed(range(len(groups))):
            rest = np.delete(groups, k, 0)
            if self.items.tasks(rest).any(0).all() and total(self.family, rest) >= value:
                groups = rest
        return groups

    # -- prices ------------------------------------------------------------------------------

    @property
    def linear(self) -> float:
        """The value of the linear program over the groups so far."""
        return np.inf if self.duals is None else self.duals.value

    @property
    def least_gain(self) -> float:
        """What a group should be worth above its price, to matter."""
        return max(self.close / (4 * sum(self.shape.counts)), 1e-9)

    def excess(self, duals: Duals) -> np.ndarray:
        """[K] how much more than their price known groups are worth, in their best slots."""
        worth = self.family.worth(self.known, duals.rewards)
        if len(duals.prices) == 1:
            return np.asarray(worth - duals.prices[0])
        prices = np.where(self.items.fits(self.known), duals.prices[:, None], np.inf).min(0)
        return np.asarray(worth - prices)

    def best_known(self) -> np.ndarray:
        """Known groups that are worth more than they cost."""
        assert self.duals is not None
        gain = self.excess(self.duals)
        best = np.argsort(-gain, kind="stable")[: 4 * BATCH]
        return np.asarray(self.known[best[gain[best] > self.least_gain]])

    def bound_at(self, duals: Duals, extra: float = 0.0) -> float:
        """What no choice exceeds if no unknown group is worth more than its price and an extra."""
        raised = duals.raised(extra)
        above = float(np.maximum(self.excess(raised), 0.0).sum())
        counts = np.array(self.shape.counts)
        return -self.shape.charge(duals.rewards) + float(raised.prices @ counts) + above

    # -- what is proven ----------------------------------------------------------------------

    def lower(self, bound: float, proof: str) -> None:
        """Keeps a bound if it is lower than what was proven so far."""
        bound = max(bound, self.found.value)
        if bound < self.found.bound:
            self.found.bound, self.found.proof = bound, proof

    @property
    def close(self) -> float:
        """A gap that counts as none."""
        return max(CLOSE * abs(self.found.value), FLAT * sum(self.shape.counts))

    @property
    def best(self) -> bool:
        """Whether the groups are proven best."""
        return self.found.bound - self.found.value <= self.close

    @property
    def done(self) -> bool:
        """Whether the groups are proven best, or the time is up."""
        return self.best or self.clock.over

    def answer(self) -> Answer:
        """In the units of the objective."""
        problem, family = self.problem, self.family
        bound = self.found.bound * family.unit / family.divisor
        if problem.objective == "best_group" and not isinstance(problem.singleton_score, str):
            # Scores of tasks alone were brought nearer to 0; above it, the bound makes up for it
            bound += max(
                0.0, float(problem.singleton_score) - 4 * len(problem.matrix) * family.unit
            )
        groups = [np.flatnonzero(own).tolist() for own in self.items.tasks(self.found.groups)]
        return Answer(
            groups,
            None if self.found.bound <= self.found.value else problem.sign * bound,
            f"{self.found.proof}; {len(self.known)} groups, {self.nodes} nodes",
            True if self.best else None,
        )
