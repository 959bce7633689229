"""Tables over groups: which exist, which are allowed, and what they give their tasks."""

from functools import lru_cache

import numpy as np

from mtlrun.solvers.problem import Problem


@lru_cache(maxsize=4)
def all_groups(num_tasks: int) -> np.ndarray:
    """[2^n - 1, n] bool, a row for each group, in lexicographic order of their sorted tasks."""
    masks: list[int] = []
    for task in reversed(range(num_tasks)):  # {task}, {task, ...}, then all without it
        masks = [1 << task, *(mask | 1 << task for mask in masks), *masks]
    members = np.asarray(np.array(masks)[:, None] >> np.arange(num_tasks) & 1 == 1)
    members.setflags(write=False)
    return members


def masks_of(members: np.ndarray) -> np.ndarray:
    """[C] the groups as integers, bit t for task t."""
    return np.asarray(members @ (1 << np.arange(members.shape[1])))


def allowed(problem: Problem, members: np.ndarray) -> np.ndarray:
    """[kinds of slots, C] whether a group is within sizes, pairs and the slot's budget."""
    sizes = members.sum(1)
    few, many = problem.sizes
    good = (sizes >= few) & (sizes <= many)
    for a, b in problem.together:
        good &= members[:, a] == members[:, b]
    for a, b in problem.apart:
        good &= ~(members[:, a] & members[:, b])
    return np.array([good & problem.affordable(members, k[0]) for k in problem.slot_kinds()])


def gains(problem: Problem, members: np.ndarray) -> np.ndarray:
    """[C] each group's term of "gain", in units of the largest entry."""
    held = members.astype(np.float64)
    pairs = (held @ (problem.matrix / unit(problem.matrix)) * held).sum(1)
    return np.asarray(pairs / held.sum(1))


def scores(problem: Problem, members: np.ndarray) -> np.ndarray:
    """[C, n] what each group gives its tasks, higher is better, in units of the largest entry.

    A fixed score of a task alone is brought within 4 n units of 0. Solutions then rank as before:
    where it was further away, the number of tasks alone decides first, and still does.
    """
    n = len(problem.matrix)
    alone = "diagonal" if problem.objective == "hoa" else problem.singleton_score
    off_diagonal = np.where(np.eye(n), 0.0, problem.matrix)
    used = problem.matrix if alone == "diagonal" else off_diagonal
    sign = problem.sign
    if alone == "diagonal":
        single = sign * np.diag(used) / unit(used)
    else:
        with np.errstate(over="ignore"):
            single = np.clip(np.full(n, alone) / unit(used), -4.0 * n, 4.0 * n)
    held = members.astype(np.float64)
    sizes = held.sum(1, keepdims=True)
    others = held @ (sign * off_diagonal / unit(used))
    given = np.where(sizes > 1, others / np.maximum(sizes - 1, 1), single)
    return np.asarray(np.where(members, given, -np.inf))


def unit(values: np.ndarray) -> float:
    """The largest size of an entry; 1 where all are 0."""
    return float(np.abs(values).max()) or 1.0
