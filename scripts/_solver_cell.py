"""One measurement of a solver, in a process of its own; a word of JSON in, a line of JSON out."""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from _families import affinity
from _tag_search import search_all

from mtlrun._solve_files import read_affinity
from mtlrun.solvers import Problem, solve

MATRICES = Path(__file__).resolve().parents[1] / "tests" / "solvers" / "matrices"


def matrix_of(cell: dict[str, Any]) -> np.ndarray:
    """The first tasks of a published matrix, or a family's."""
    n = cell["tasks"]
    if "published" in cell:
        values = read_affinity(MATRICES / f"{cell['published']}.csv").values
        return np.ascontiguousarray(values[:n, :n])
    return affinity(cell["family"], n, cell["seed"])


def measure(cell: dict[str, Any]) -> dict[str, Any]:
    """Solves a cell, several times where asked, and looks whether the groups are what is claimed.

    Args:
        cell: `tasks`, `groups`, `objective`, `solver`, `limit` (seconds); `published`, or `family` and
            `seed`; `partition` and `repeats` if they are other than false and 1.
    """
    matrix = matrix_of(cell)
    if cell["solver"] == "search":
        search = search_all(matrix, cell["groups"], cell["limit"])
        return {
            "value": search.value,
            "nodes": search.nodes,
            "all nodes": search.all_nodes,
            "seconds": search.seconds,
            "status": "capped" if search.capped else "complete",
        }
    wanted = {
        "num_groups": cell["groups"],
        "objective": cell["objective"],
        "partition": cell.get("partition", False),
    }
    seconds = []
    for _ in range(cell.get("repeats", 1)):
        start = time.perf_counter()
        plan = solve(matrix, solver=cell["solver"], time_limit=cell["limit"], **wanted)
        seconds.append(time.perf_counter() - start)
    groups = [[int(task) for task in group.tasks] for group in plan.groups]
    problem = Problem(matrix, **wanted)
    if (reason := problem.violation(groups)) is not None:
        raise AssertionError(f"{cell}: {reason}")
    if plan.objective is None or plan.bound is None or not np.isfinite(plan.bound):
        raise AssertionError(f"{cell}: no finite bound")
    if not np.isclose(problem.value(groups), plan.objective, rtol=1e-12, atol=0):
        raise AssertionError(f"{cell}: {plan.objective} is not the groups' value")
    if problem.sign * plan.bound < problem.sign * plan.objective:
        raise AssertionError(f"{cell}: {plan.objective} is beyond the bound {plan.bound}")
    return {
        "value": plan.objective,
        "bound": plan.bound,
        "gap": plan.gap,
        "status": plan.status,
        "proof": plan.proof,
        "seconds": min(seconds),
        "trivial": trivial_bound(matrix),
    }


def trivial_bound(matrix: np.ndarray) -> float:
    """The mean over tasks of the best that another task does for them: no grouping is better."""
    others = np.where(np.eye(len(matrix), dtype=bool), -np.inf, matrix)
    return float(others.max(0).mean())


def main() -> None:
    """Measures the cell that the first word describes."""
    cell = json.loads(sys.argv[1])
    try:
        found = measure(cell)
    except ValueError as error:  # nothing found in the time, or a solver not for such a problem
        sys.stderr.write(f"{cell}: {error}\n")
        found = {"status": "nothing"}
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    found["bytes"] = unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
