"""Column generation: groups come as they are worth it, until it is proven that no others are."""

from dataclasses import dataclass, field

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has no types

from mtlrun.solvers import _tabu
from mtlrun.solvers._answer import Answer
from mtlrun.solvers._build import Builder
from mtlrun.solvers._clock import Clock
from mtlrun.solvers._family import total
from mtlrun.solvers._feasible import find_any
from mtlrun.solvers._improve import improve
from mtlrun.solvers._items import Items, keys_of, unique_groups
from mtlrun.solvers._lister import list_nonnegative
from mtlrun.solvers._master import Duals, LinearMaster, Shape, choose
from mtlrun.solvers._served import choose_serving
from mtlrun.solvers._served_parts import ServedParts
from mtlrun.solvers._spectral import copositive_bound, partition_bound
from mtlrun.solvers._subsets import all_groups
from mtlrun.solvers._whole_groups import WholeGroups
from mtlrun.solvers.problem import Problem

CLOSE = 2e-7  # a gap that is none, relative to the value
FLAT = 1e-10  # and, for every group, in units of the largest entry
LISTED = 12  # items whose groups are all looked at
STARTS, ROUNDS = 8, 40  # choices built at the beginning, and around a linear program
BATCH = 80  # groups that are added to the linear program at once
CUTS, CUTS_SECONDS = 100, 5.0  # of a listing, and the time that makes them worth it
MOST_LISTED = 200_000
FEW, MOST = 400, 20_000  # groups of a first and of any integer program
PULL = 0.8  # of the best duals so far on those that groups are sought at
FIRST_TRY = 0.04  # share of the time that the first exact listing gets
NO_TIME = "the time limit came before any bound of the search; by the largest entries"


@dataclass
class Found:
    """The best groups, and what no groups are above, both as sums in units of the largest entry."""

    groups: np.ndarray
    value: float
    bound: float
    proof: str
    counts: dict[str, int] = field(default_factory=dict)


class NoGroupsError(ValueError):
    """There are no groups within the limits, or none was found in time.

    Args:
        message: For the user.
        proven: Whether there are none.
    """

    def __init__(self, message: str, *, proven: bool) -> None:
        super().__init__(message)
        self.proven = proven


def require_groups(problem: Problem, clock: Clock) -> None:
    """Raises NoGroupsError where it is proven in time that no groups are within the limits."""
    try:
        _Run(problem, clock, LISTED).begin()
    except NoGroupsError as error:
        if error.proven:
            raise


def generate(problem: Problem, clock: Clock, *, list_all: int = LISTED) -> Answer:
    """The best groups of a problem, as far as the time lasts.

    Args:
        problem: What is asked.
        clock: When to stop.
        list_all: Up to so many items all groups are looked at, one by one.

    Raises:
        NoGroupsError: If no groups are within the limits, or none were found.
    """
    with threadpool_limits(1, "blas"):  # the matrices are small
        run = _Run(problem, clock, list_all)
        for phase in (run.begin, run.price, run.guess, run.prove):
            phase()
            if run.done:
                break
        return run.answer()


class _Run:
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
        self.settled = 0  # groups known at the last integer program
        self.nodes = 0

    # -- bookkeeping -------------------------------------------------------------------------

    @property
    def close(self) -> float:
        """A gap that counts as none."""
        return max(CLOSE * abs(self.found.value), FLAT * sum(self.shape.counts))

    def learn(self, groups: np.ndarray) -> np.ndarray:
        """Remembers groups that fit a slot; those that are new."""
        if not len(groups):
            return groups
        new = [k for k, key in enumerate(keys_of(groups)) if bytes(key) not in self.keys]
        groups = unique_groups(groups[new])
        groups = groups[self.items.fits(groups).any(0)] if len(groups) else groups
        if len(groups):
            self.keys.update(map(bytes, keys_of(groups)))
            self.known = np.concatenate([self.known, groups])
        return groups

    def add(self, groups: np.ndarray) -> int:
        """Puts groups into the linear program, serving what they serve best at present."""
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

    def lower(self, bound: float, proof: str) -> None:
        """Keeps a bound if it is lower than what was proven so far."""
        bound = max(bound, self.found.value)
        if bound < self.found.bound:
            self.found.bound, self.found.proof = bound, proof

    @property
    def done(self) -> bool:
        """Whether the groups are proven best, or the time is up."""
        return self.best or self.clock.over

    @property
    def best(self) -> bool:
        """Whether the groups are proven best."""
        return self.found.bound - self.found.value <= self.close

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
            None
            if self.found.bound <= self.found.value
            else -bound
            if problem.objective == "hoa"
            else bound,
            f"{self.found.proof}; {len(self.known)} groups, {self.nodes} nodes",
            True if self.best else None,
        )

    # -- phases ------------------------------------------------------------------------------

    def begin(self) -> None:
        """Finds groups to start from, and the bound that needs no search."""
        if len(self.items) <= LISTED:
            every = all_groups(len(self.items))
            every = every[self.items.fits(every).any(0)]
            if not len(every):
                raise NoGroupsError(
                    "No group is within sizes, budgets and pairs. Loosen one of the limits.",
                    proven=True,
                )
            self.problem.check_existing(len(every))
            if self.all_known:
                self.learn(every)
        groups = self._start(self.clock.part(0.1))
        if groups is None:
            groups = self._any()
        groups = self.needed(groups)
        self.found = Found(groups, total(self.family, groups), self._plain_bound(), NO_TIME)
        self.learn(groups)
        self.add_start(groups)

    def _start(self, clock: Clock) -> np.ndarray | None:
        """The best of several choices that were built and improved; None if none was."""
        best, best_value = None, -np.inf
        for attempt in range(STARTS):
            if clock.over and attempt:
                break
            built = self.builder.build(spread=attempt % 2 == 0)
            if built is not None:
                groups = improve(self.family, self.shape, *built, clock)
                value = total(self.family, groups)
                if value > best_value + 1e-12:
                    best, best_value = groups, value
        return best

    def round(self, clock: Clock) -> None:
        """Builds choices around the groups that the linear program takes parts of.

        Args:
            clock: When to stop.
        """
        duals = self.duals
        if duals is None:
            return
        places = np.flatnonzero(duals.weights > 1e-6)
        groups, weights = np.array(self.master.groups)[places], duals.weights[places]
        fits = self.items.fits(groups)
        for _ in range(ROUNDS):
            if clock.over or self.linear - self.found.value <= self.close:
                return
            chance = np.log(weights) + self.rng.gumbel(size=len(weights))
            begun = np.zeros((len(self.builder.kinds), len(self.items)), dtype=bool)
            for k in np.argsort(-chance).tolist():
                clash = (begun.sum(0) + groups[k] > self.shape.most).any()
                free = np.flatnonzero(~begun.any(1) & fits[self.builder.kinds, k])
                if len(free) and not clash and not (begun == groups[k]).all(1).any():
                    begun[free[0]] = groups[k]
            if self.shape.most == 1 and self.rng.random() < 0.5:  # leave room for others
                begun[self.rng.random(len(begun)) < 0.3] = False
            built = self.builder.build(begun)
            if built is not None:
                better = improve(self.family, self.shape, *built, clock)
                self.learn(better)
                self.take(better)

    def add_start(self, groups: np.ndarray) -> None:
        """Puts groups that serve every row into the linear program."""
        if isinstance(self.family, WholeGroups):
            self.add(groups)
            return
        given = self.family.scores(groups)
        rows = np.zeros(given.shape, dtype=bool)
        rows[given.argmax(0), np.arange(given.shape[1])] = True
        values = np.where(rows, given, 0.0).sum(1)
        own = rows.any(1)
        self.master.add(groups[own], rows[own], values[own], self.items.fits(groups)[:, own])

    def _any(self) -> np.ndarray:
        """Some groups within the limits."""
        if self.all_known:
            rows = (
                self.known if isinstance(self.family, WholeGroups) else self.items.tasks(self.known)
            )
            shape = self.shape
            if isinstance(self.family, ServedParts):
                shape = Shape(shape.num_rows, 1, np.inf, shape.counts, False, False)
            found = choose(
                shape, rows, np.zeros(len(rows)), self.items.fits(self.known), self.clock.part(0.5)
            )
            groups = None if found.chosen is None else self.known[found.chosen]
            infeasible = found.infeasible
        else:
            shape = self.shape
            if isinstance(self.family, ServedParts):
                shape = Shape(len(self.items), 1, np.inf, shape.counts, False, False)
            groups, infeasible = find_any(self.family, shape, self.clock.part(0.6))
        if groups is None:
            problem = self.problem
            asked = "distinct groups" if self.shape.exactly else "groups or fewer"
            raise NoGroupsError(
                f"{problem.num_groups} {asked} should cover the {len(problem.matrix)} tasks within "
                f"the limits. Found {'no such groups' if infeasible else 'none in the time'}. "
                f"Set solver.num_groups or loosen sizes or budgets"
                f"{'' if infeasible else ', or raise solver.time_limit'}.",
                proven=infeasible,
            )
        return groups

    def _plain_bound(self) -> float:
        """By the largest entries alone."""
        family = self.family
        if family.exactly:
            top = float(np.linalg.eigvalsh(self._scaled(np.zeros(len(self.items))))[-1])
            return sum(self.shape.counts) * top
        return float(self._best_scores().sum())

    def _best_scores(self) -> np.ndarray:
        """[R] the most that any group gives."""
        if isinstance(self.family, ServedParts):
            return self.family.most()
        return np.asarray(self.items.members @ ServedParts(self.items).most())

    def _scaled(self, rewards: np.ndarray) -> np.ndarray:
        """B with x'Bx / x'x the worth of x in other units ("gain")."""
        assert isinstance(self.family, WholeGroups)
        sizes = self.items.sizes
        cross = np.outer(rewards, sizes) / 2
        root = np.sqrt(sizes)
        return np.asarray((self.family.matrix + cross + cross.T) / np.outer(root, root))

    def price(self) -> None:
        """Adds groups that a search finds to be worth more than they cost, until it finds none."""
        self._approach(self.clock.part(0.35))

    def _approach(self, clock: Clock) -> None:
        """The linear program's duals wander; groups are sought at a mean with the best so far."""
        if self.center is None:
            self.center = self._guess(clock)
        pull = PULL
        while not clock.over:
            self.duals = self.master.solve(clock) or self.duals
            if self.duals is None:
                return
            if self.all_known:
                if not self.add(self._best_known()):
                    return
                continue
            mean = self._mean(self.center, pull)
            learned = self._search(mean, clock)
            bound = self.bound_at(mean, mean.prices)
            if bound < self.center.value:
                self.center = Duals(bound, mean.rewards, mean.prices, mean.weights)
            if self.add(self._best_known()):
                pull = min(PULL, pull + 0.1)
            elif pull > 0:
                pull = pull / 2 if pull > 0.2 else 0.0
            elif not learned:
                return

    def _mean(self, center: Duals, pull: float) -> Duals:
        duals = self.duals
        assert duals is not None
        return Duals(
            np.inf,
            pull * center.rewards + (1 - pull) * duals.rewards,
            pull * center.prices + (1 - pull) * duals.prices,
            duals.weights,
        )

    def _guess(self, clock: Clock) -> Duals:
        """Rewards against what the found groups lose without an item, and prices to match."""
        groups, family = self.found.groups, self.family
        if isinstance(family, ServedParts):
            rewards = -family.scores(groups).max(0)
        else:
            zero = np.zeros(family.num_rows)
            worth = family.worth(groups, zero)
            left = np.where(groups, family.flipped(groups, zero), np.inf)
            lost = np.where(
                np.isfinite(left), worth[:, None] - left, np.where(groups, worth[:, None], np.inf)
            )
            rewards = -lost.min(0)
        if self.shape.most >= sum(self.shape.counts):
            rewards = np.maximum(rewards, 0.0)
        own = self.family.worth(groups, rewards)
        prices = np.full(len(self.shape.counts), float(np.median(own)))
        guess = Duals(np.inf, rewards, prices, np.zeros(0))
        self._search(guess, clock)
        worth = np.sort(self.family.worth(self.known, rewards))[::-1]
        prices[:] = worth[min(len(worth), sum(self.shape.counts)) - 1]
        return Duals(self.bound_at(guess, prices), rewards, prices, np.zeros(0))

    def _search(self, duals: Duals, clock: Clock) -> int:
        """Learns groups that a search finds to be worth more than they cost; how many."""
        learned = 0
        basis = np.array(self.master.groups)[: len(duals.weights)][duals.weights > 1e-9]
        basis = unique_groups(
            np.concatenate([basis.reshape(-1, len(self.items)), self.found.groups])
        )
        for kind, price in enumerate(duals.prices):
            if clock.over:
                break
            count = len(self.items)
            random = self.rng.random((12, count)) < self.rng.random((12, 1)) ** 2
            starts = np.concatenate([basis[self.items.fits(basis)[kind]][:36], random])
            groups = _tabu.search(
                self.family,
                duals.rewards,
                float(price) + self._least_gain(),
                kind,
                starts,
                steps=20 + count,
                rng=self.rng,
                clock=clock,
            )
            new = [k for k, key in enumerate(keys_of(groups)) if bytes(key) not in self.keys]
            groups = groups[new]
            worth = self.family.worth(groups, duals.rewards) if len(groups) else np.zeros(0)
            learned += len(self.learn(groups[np.argsort(-worth, kind="stable")[:BATCH]]))
        return learned

    def _least_gain(self) -> float:
        return max(self.close / (4 * sum(self.shape.counts)), 1e-9)

    def _reduced(self) -> np.ndarray:
        """[K] how much more than their price known groups are worth, in their best slots."""
        assert self.duals is not None
        worth = self.family.worth(self.known, self.duals.rewards)
        prices = np.where(self.items.fits(self.known), self.duals.prices[:, None], np.inf).min(0)
        return np.asarray(worth - prices)

    def _best_known(self) -> np.ndarray:
        """Known groups that are worth more than they cost."""
        gain = self._reduced()
        best = np.argsort(-gain, kind="stable")[: 4 * BATCH]
        return self.known[best[gain[best] > self._least_gain()]]

    def bound_at(self, duals: Duals, thresholds: np.ndarray) -> float:
        """What no choice exceeds if no unknown group is worth more than a threshold [kinds]."""
        worth = self.family.worth(self.known, duals.rewards)
        over = np.where(self.items.fits(self.known), worth - thresholds[:, None], 0.0)
        above = float(np.maximum(over, 0.0).max(0, initial=0.0).sum())
        return -self.shape.charge(duals.rewards) + float(thresholds @ self.shape.counts) + above

    def list_all(self, thresholds: np.ndarray, clock: Clock) -> tuple[bool, int]:
        """Learns every group that is worth a threshold [kinds]; whether these are all, and how many."""
        if self.all_known:
            return True, 0
        assert self.duals is not None
        learned = 0
        for kind, threshold in enumerate(thresholds.tolist()):
            form = self.family.form(self.duals.rewards, threshold, kind)
            cuts = CUTS if clock.left > CUTS_SECONDS else 0
            listing = list_nonnegative(form, clock, most=MOST_LISTED, num_cuts=cuts)
            self.nodes += listing.nodes
            groups = self.family.groups_of(listing.vectors)
            if len(groups):
                enough = self.family.worth(groups, self.duals.rewards) >= threshold - 1e-9
                learned += len(self.learn(groups[enough]))
            if not listing.complete:
                return False, learned
        return True, learned

    def settle(self, clock: Clock, slack: float, most: int) -> float:
        """Takes the best choice among known groups that cost at most `slack` more than their worth.

        Args:
            clock: When to stop.
            slack: In units of the largest entry.
            most: Of so many groups, the best by that measure.

        Returns:
            A bound of all choices among known groups within the slack.
        """
        if self.duals is None:
            return np.inf
        gain = self._reduced()
        fine = np.flatnonzero(gain >= -slack - 1e-9)
        order = np.argsort(-gain[fine], kind="stable")[:most]
        groups = self.known[np.sort(fine[order])]
        hint = self._places(groups)
        fits = self.items.fits(groups)
        if isinstance(self.family, ServedParts):
            given = self.family.scores(groups)
            useful = given + self.duals.rewards >= -slack - 1e-9
            choice = choose_serving(given, fits, self.shape.counts, clock, useful=useful, hint=hint)
        else:
            rows, values = self.family.columns(groups, self.duals.rewards)
            choice = choose(self.shape, rows, values, fits, clock, hint=hint)
        if choice.chosen is not None:
            self.take(groups[choice.chosen])
        self.settled = len(self.known)
        if choice.infeasible:
            return -np.inf
        return choice.bound if len(order) == len(fine) else np.inf

    def _places(self, groups: np.ndarray) -> list[int] | None:
        places = {bytes(key): k for k, key in enumerate(keys_of(groups))}
        own = [places.get(bytes(key)) for key in keys_of(self.found.groups)]
        return None if None in own else [k for k in own if k is not None]

    @property
    def linear(self) -> float:
        """The value of the linear program over the groups so far."""
        return np.inf if self.duals is None else self.duals.value

    def guess(self) -> None:
        """Looks for good choices among known groups and around them."""
        self.settle(self.clock.part(0.05), np.inf, FEW)
        if self.linear - self.found.value > self.close:
            self.round(self.clock.part(0.08))
            self.settle(self.clock.part(0.08), np.inf, FEW)

    def prove(self) -> None:
        """Lowers the bound, by exact listings, to the value or as far as the time lasts."""
        converged = self._converge(Clock(0.85 * self.clock.left))
        if self.best:
            return
        if converged:
            self._close_gap(Clock(0.95 * self.clock.left))
        elif len(self.known) > self.settled:
            self.settle(self.clock.part(0.8), self.found.bound - self.found.value, FEW)

    def _converge(self, clock: Clock) -> bool:
        """Solves the linear program over all groups; whether that was proven."""
        while self.duals is not None and not clock.over:
            prices = self.duals.prices
            first = self.list_all(prices + self._least_gain(), clock.part(FIRST_TRY))
            complete, learned = first
            if not complete:
                complete, learned = self._descend(clock)
            if complete and not learned:
                self.lower(
                    self.bound_at(self.duals, prices + self._least_gain()),
                    "linear program over all groups",
                )
            if not learned:
                return complete
            self._approach(clock)
        return False

    def _descend(self, clock: Clock) -> tuple[bool, int]:
        """Lists at falling thresholds; each complete listing proves a bound."""
        assert self.duals is not None
        prices, least = self.duals.prices, self._least_gain()
        if isinstance(self.family, WholeGroups) and self.shape.most == 1 and self.family.exactly:
            bound = partition_bound(
                self.family.matrix, sum(self.shape.counts), self.items.sizes, clock.part(0.1)
            )
            self.lower(bound, "eigenvalues of a relaxed partition")
        top = self._top_worth(clock.part(0.1))
        over = max(float((top - prices).max()), least)
        self.lower(self.bound_at(self.duals, prices + over), "eigenvalues")
        share, step, before = 0.9, 0.2, 0.0
        while not clock.over:
            extra = max(over * share, least)
            begun = clock.left
            complete, learned = self.list_all(prices + extra, clock)
            if learned or not complete:
                return False, learned
            self.lower(self.bound_at(self.duals, prices + extra), "listing above a threshold")
            if extra <= least:
                return True, 0
            spent = begun - clock.left
            growth = max(np.log(spent / before) / step, 1.0) if before else 10.0
            step = np.clip(np.log(0.4 * max(clock.left, 1e-3) / spent) / growth, 0.02, 0.3)
            share, before = (0.0 if share < 1.5 * step else share - step), spent
        return False, 0

    def _top_worth(self, clock: Clock) -> float:
        """No group is worth more."""
        assert self.duals is not None
        rewards = self.duals.rewards
        if self.family.exactly:
            return copositive_bound(self._scaled(rewards), clock)[0]
        return float(np.maximum(self._best_scores() + rewards, 0.0).sum())

    def _close_gap(self, clock: Clock) -> None:
        """Chooses among all groups that could be in a better choice, the likeliest first.

        Where the linear program is worth z, a choice with a group that costs g more than it is
        worth is worth z - g at most.
        """
        assert self.duals is not None
        linear, prices = self.found.bound, self.duals.prices
        gain = np.sort(self._reduced())[::-1]
        slack = max(-float(gain[min(FEW, len(gain)) - 1]), self.close)
        while not clock.over:
            slack = min(slack, linear - self.found.value)
            complete, _ = self.list_all(prices - slack - 1e-9, clock.part(0.7))
            bound = self.settle(clock.part(0.9), slack, MOST if complete else FEW)
            if not complete:
                return
            self.lower(max(bound, linear - slack), "integer program over all groups that matter")
            if self.best or slack >= linear - self.found.value or bound == np.inf:
                return
            slack *= 2
