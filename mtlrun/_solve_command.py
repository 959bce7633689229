"""`mtlrun solve`: the grouping solvers alone, from files to groups."""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from mtlrun._command_parser import CommandParser
from mtlrun._solve_files import read_affinity, read_budgets
from mtlrun._terminal import show, table
from mtlrun.core.grouping import Affinity, Objective, Plan
from mtlrun.solvers import SolverName, solve

FIGURES = (".png", ".pdf", ".svg")
EPILOG = """\
FILE holds a header row of task names and then a row for every source task, with or without a first
column of names: row = source, column = target, positive helps (errors for hoa). Or it is a run's
affinity.json. COSTS holds a row for every task: its name and what it costs, once or in each group.
"""


def solve_command(words: Sequence[str]) -> int:
    """Prints the best groups of an affinity.

    Args:
        words: The command's words after `solve`.

    Returns:
        The exit code.

    Raises:
        ValueError: If words, files or limits are bad, or no groups are within the limits.
    """
    parser = _parser()
    if "--help" in words or "-h" in words:
        show(parser.format_help())
        return 0
    asked = parser.parse_args(list(words))
    figures = _figures(asked.figure, asked.file)
    affinity = read_affinity(asked.file)
    objective: Objective = asked.objective or ("hoa" if affinity.kind == "hoa" else "gain")
    if affinity.kind == "hoa" and objective != "hoa":
        raise ValueError(
            f"`{asked.file}` holds errors of pairs, which `--objective hoa` reads. Found `--objective "
            f"{objective}`. Leave it out."
        )
    affinity = replace(affinity, kind="hoa") if objective == "hoa" else affinity
    limits = {
        name: getattr(asked, name)
        for name in ("min_size", "max_size", "min_joins", "max_joins", "partition", "diagonal")
    }
    for name in ("together", "apart"):
        limits[name] = [_pair(name, text) for text in getattr(asked, name)]
    if asked.budgets is not None:
        limits["budgets"] = read_budgets(asked.budgets, affinity.tasks)
    if asked.capacity is not None:
        limits["capacities"] = _capacities(asked.capacity)
    if asked.singleton_score is not None:
        limits["singleton_score"] = _singleton(asked.singleton_score)
    start = time.perf_counter()
    plan = solve(
        affinity.values,
        num_groups=asked.groups,
        objective=objective,
        tasks=affinity.tasks,
        solver=asked.solver,
        time_limit=asked.time_limit,
        **limits,
    )
    seconds = time.perf_counter() - start
    _print(plan, seconds)
    if asked.json is not None:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps(_as_json(plan, seconds), indent=1) + "\n", "utf-8")
    if figures is not None:
        _draw(affinity, plan, *figures)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="mtlrun solve",
        description="The best groups of tasks by pairwise affinity, with a proven bound.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="CSV or affinity.json")
    add("--groups", type=int, required=True, metavar="M", help="exactly (gain) or at most so many")
    add("--objective", choices=get_args(Objective), help="default: gain; hoa for a run of hoa")
    add("--partition", action="store_true", help="every task in one group only")
    add("--min-size", type=int, default=1, metavar="K", help="tasks of a group, at least")
    add("--max-size", type=int, metavar="K", help="tasks of a group, at most")
    add("--budgets", type=Path, metavar="COSTS", help="CSV of what each task costs")
    add("--capacity", metavar="C", help="of a group's costs; C1,C2,... for each group")
    add("--together", action="append", default=[], metavar="A,B", help="a pair in the same groups")
    add("--apart", action="append", default=[], metavar="A,B", help="a pair in no group both")
    add("--min-joins", type=int, default=1, metavar="K", help="groups of a task, at least (gain)")
    add("--max-joins", type=int, metavar="K", help="groups of a task, at most (gain)")
    add("--diagonal", choices=("as_given", "zero"), default="as_given", help="of gain")
    add("--singleton-score", metavar="X", help="of a task alone, or `diagonal` (best_group)")
    add("--solver", choices=get_args(SolverName), default="auto", help="default: auto")
    add("--time-limit", type=float, default=60.0, metavar="SECONDS", help="default: 60")
    add("--json", type=Path, metavar="PATH", help="write the result there")
    add("--figure", type=Path, metavar="PATH", help="draw groups there, the affinity beside them")
    return parser


def _pair(name: str, text: str) -> tuple[str, ...]:
    pair = tuple(part.strip() for part in text.split(","))
    if len(pair) != 2:
        raise ValueError(f"`--{name}` should be two tasks, A,B. Found `{text}`.")
    return pair


def _capacities(text: str) -> float | list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(
            f"`--capacity` should be a number, or one for each group, C1,C2,... Found `{text}`."
        ) from None
    return numbers[0] if len(numbers) == 1 else numbers


def _singleton(text: str) -> Any:
    if text == "diagonal":
        return text
    try:
        return float(text)
    except ValueError:
        raise ValueError(
            f"`--singleton-score` should be a number or `diagonal`. Found `{text}`."
        ) from None


def _figures(path: Path | None, source: Path) -> tuple[Path, Path] | None:
    """The paths of the groups' and the affinity's figure."""
    if path is None:
        return None
    if path.suffix not in FIGURES:
        raise ValueError(f"`--figure` should end in {', '.join(FIGURES)}. Found `{path}`.")
    both = path, path.with_name(f"{path.stem}_affinity{path.suffix}")
    if source.resolve() in {own.with_suffix(".csv").resolve() for own in both}:
        raise ValueError(
            f"`--figure` writes its numbers as CSV beside the figure. Found `{path}`, which would "
            f"overwrite `{source}`. Choose another name."
        )
    return both


def _draw(affinity: Affinity, plan: Plan, groups: Path, matrix: Path) -> None:
    from mtlrun.reports.figures import draw_affinity, draw_groups

    draw_groups(plan, affinity.tasks, groups)
    draw_affinity(affinity, matrix)


def _print(plan: Plan, seconds: float) -> None:
    """Groups, then value, bound and what proved it."""
    parts = any(group.serves != group.tasks for group in plan.groups)
    slots = plan.settings.get("slots")
    columns = ["group", "tasks", *(["serves"] if parts else []), *(["budget"] if slots else [])]
    rows = [
        [
            str(k + 1),
            ", ".join(group.tasks),
            *([", ".join(group.serves)] if parts else []),
            *([str(slots[k] + 1)] if slots else []),
        ]
        for k, group in enumerate(plan.groups)
    ]
    table(columns, rows)
    show(f"{plan.settings['objective']} {plan.objective:.10g}")
    show(f"bound {plan.bound:.10g} (gap {100 * (plan.gap or 0.0):.2g} %)")
    show(f"{plan.status} ({plan.settings['solver']}: {plan.proof}; {seconds:.2f} s)")


def _as_json(plan: Plan, seconds: float) -> dict[str, Any]:
    return {
        "groups": [list(group.tasks) for group in plan.groups],
        "serves": [list(group.serves) for group in plan.groups],
        "objective": plan.objective,
        "bound": plan.bound,
        "gap": plan.gap,
        "status": plan.status,
        "proof": plan.proof,
        "seconds": seconds,
        "settings": dict(plan.settings),
    }
