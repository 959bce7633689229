"""Grouping by gains that a network predicts from those of few trained groups."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mtlrun.core.distributed import from_first
from mtlrun.core.grouping import Plan
from mtlrun.core.method import Lab
from mtlrun.core.seeding import seed_for
from mtlrun.methods._gain_predictor import GainPredictor
from mtlrun.methods._groups import GroupMethod
from mtlrun.methods._measured import MeasuredGroups, ScoreName, check_score

Array = NDArray[Any]
Acquire = Literal["total", "per_task", "random"]
PREDICTOR = GainPredictor()


class MTG(GroupMethod):
    """Trains some groups, chosen one after another by what a network predicts, and takes the best grouping.

    Source: Song et al., Efficient and Effective Multi-Task Grouping via Meta Learning on Task
    Combinations (MTG-Net), NeurIPS 2022, by its released program, which looks the results of all
    groups up where this trains them.
    Differs: the grouping is the best of all allowed groups (`solver.select`) by measured gains, and
    predicted ones of groups that were not trained; that program's is a beam search's. There all
    together are trained beside T (T - 1) / 2 groups ("per_task"), or T - 1 more ("total"); here they
    are one of `num_trained`. "total" there subtracts the best gain of earlier tasks several times.

    Predicted gains are optimistic, and a plan may be made of them: `proof` and `settings` of plan.json
    tell how many, and nothing is proven of it. On six tasks whose pairs' gains add up `hoa`, at the
    same cost, finds better groups for three of four seeds.

    All tasks alone and, if the solver allows it, all together are trained first. Gains are the share of
    its validation error that a task saves beside its single-task training. Where `val` is trained on
    (`data.val_share=0`) it says nothing of new examples, and a warning says so. In every round all
    2**T - 1 allowed groups are predicted.

    Args:
        num_trained: Groups of two tasks or more that are trained; None for as many as there are pairs,
            the cost of `hoa`.
        acquire: Which is trained next: "total", where the sum over tasks of predicted gain less best
            measured gain is furthest from 0; "per_task", where the predicted gain of one task is, each
            task in turn; "random".
        score: The error: "loss", or "leading_metric".
        predictor: The network's settings.
    """

    plans_by_val = True

    def __init__(
        self,
        *,
        num_trained: int | None = None,
        acquire: Acquire = "total",
        score: ScoreName = "loss",
        predictor: GainPredictor = PREDICTOR,
    ) -> None:
        check_score(score)
        if num_trained is not None and num_trained < 1:
            raise ValueError(
                f"`num_trained` should be at least 1. Found `num_trained = {num_trained}`. Set "
                f"method.num_trained."
            )
        if acquire not in get_args(Acquire):
            raise ValueError(
                f"`acquire` should be one of {', '.join(get_args(Acquire))}. Found `acquire = "
                f"{acquire!r}`. Set method.acquire."
            )
        self.num_trained, self.acquire, self.score = num_trained, acquire, score
        self.predictor = predictor

    def collect(self, lab: Lab) -> Plan:
        """Phase 1 trains the groups that are measured; phase 2 those of the plan that were predicted."""
        names = [task.name for task in lab.tasks]
        lab.solver.check(names, objective="best_group")
        candidates = lab.solver.allowed_groups(names)
        members = np.array([[name in group for name in names] for group in candidates])
        measured = MeasuredGroups(lab, self.score)
        for name in names:  # also where a task alone is no allowed group: all gains refer to it
            measured.errors([name])
        known = _Known(np.eye(len(names), dtype=bool), np.zeros((len(names), len(names))))
        open_rows = np.flatnonzero(members.sum(1) > 1).tolist()
        num_pairs = len(names) * (len(names) - 1) // 2
        rounds = min(num_pairs if self.num_trained is None else self.num_trained, len(open_rows))
        lab.say(f"mtg: {rounds} of {len(open_rows)} groups to train beside the tasks alone.")
        for number in range(rounds):
            row = from_first(self._next(known, members, open_rows, number, lab.seed))
            open_rows.remove(row)
            lab.say(f"mtg: group {number + 1} of {rounds}: {'+'.join(candidates[row])}.")
            gains = measured.gains(candidates[row])
            known = known.and_also(members[row], [gains.get(name, 0.0) for name in names])
        predicted = np.zeros(members.shape)
        if open_rows:
            predicted = from_first(self._predicted(known, members, rounds, lab.seed))
        plan = lab.solver.select(names, candidates, known.values(members, predicted))
        guessed = {candidates[row] for row in open_rows}
        told = sum(group.tasks in guessed for group in plan.groups)
        settings = {"num_trained": rounds, "num_predicted_groups": told}
        return replace(
            plan,
            settings=dict(plan.settings) | settings,
            proof=f"the best of {len(candidates)} groups, gains of {len(open_rows)} predicted",
            bound=None if told else plan.bound,
            status="feasible" if told else plan.status,
        )

    def _next(
        self, known: "_Known", members: Array, open_rows: Sequence[int], number: int, seed: int
    ) -> int:
        """The row of the group to train."""
        together = members[open_rows].all(1)
        if together.any():  # the first, if it is allowed
            return open_rows[int(together.argmax())]
        if self.acquire == "random":
            rng = np.random.default_rng(seed_for(seed, f"mtg/choice {number}"))
            return int(rng.choice(open_rows))
        predicted = self._predicted(known, members[open_rows], number, seed)
        if self.acquire == "per_task":
            distance = np.abs(predicted[:, number % members.shape[1]])
        else:
            best = known.gains.max(0)
            distance = np.abs(((predicted - best) * members[open_rows]).sum(1))
        return open_rows[int(distance.argmax())]

    def _predicted(self, known: "_Known", wanted: Array, number: int, seed: int) -> Array:
        seed = seed_for(seed, f"mtg/network {number}")
        return self.predictor.predict(known.members, known.gains, wanted, seed=seed)


@dataclass(frozen=True)
class _Known:
    """Measured groups: members [M, T] bool and gains [M, T], 0 at other tasks."""

    members: Array
    gains: Array

    def and_also(self, members: Array, gains: Sequence[float]) -> "_Known":
        """With one more group."""
        return _Known(np.vstack([self.members, members]), np.vstack([self.gains, gains]))

    def values(self, members: Array, predicted: Array) -> Array:
        """[G, T] of some groups: what was measured, and what is predicted of those that were not."""
        by_members = {
            own.tobytes(): gains for own, gains in zip(self.members, self.gains, strict=True)
        }
        rows = zip(members, predicted, strict=True)
        return np.array([by_members.get(own.tobytes(), guess) for own, guess in rows])
