"""Rows of the solvers' tables: what a process measured, and whether it is what was aimed at."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import inf, isclose, nan
from pathlib import Path
from typing import Any

from _bench import Row

CELL = Path(__file__).with_name("_solver_cell.py")
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
ENDED = ("optimal", "complete")
LATE = 1.05  # a time limit may be exceeded by so much


@dataclass(frozen=True)
class Aim:
    """What a cell should reach.

    Attributes:
        text: In words.
        reached: Whether a cell does.
        share: Of the cells of a table's block that should.
    """

    text: str
    reached: Callable[[Row], bool]
    share: float = 1.0


def solved(seconds: float) -> Aim:
    """Proven within a time."""
    return Aim(
        f"proven in {seconds:g} s",
        lambda found: found["status"] == "optimal" and found["seconds"] <= LATE * seconds,
    )


def close(gap: float, seconds: float, *, share: float = 1.0, megabytes: float = inf) -> Aim:
    """A gap of some percent within a time."""
    room = "" if megabytes == inf else f", under {megabytes:g} MB"
    return Aim(
        f"gap <= {gap:g} % in {seconds:g} s{room}",
        lambda found: (
            100 * found["gap"] <= gap
            and found["seconds"] <= LATE * seconds
            and found["bytes"] < megabytes * 1e6
        ),
        share,
    )


def nontrivial(seconds: float) -> Aim:
    """A bound below what every task would have with its best partner, within a time."""
    return Aim(
        f"bound better than the trivial one in {seconds:g} s",
        lambda found: found["bound"] < found["trivial"] and found["seconds"] <= LATE * seconds,
    )


def small(megabytes: float) -> Aim:
    """Little memory."""
    return Aim(f"under {megabytes:g} MB", lambda found: found["bytes"] < megabytes * 1e6)


def measured(**cell: Any) -> Row:
    """What a process of its own measures; see `_solver_cell.measure` for what it is told."""
    nothing = {"value": None, "bound": inf, "gap": inf, "seconds": nan, "bytes": nan}
    limit = cell.get("repeats", 1) * (4 * cell["limit"] + 60)
    try:
        done = subprocess.run(
            [sys.executable, str(CELL), json.dumps(cell)],
            env=os.environ | ONE_THREAD,
            stdout=subprocess.PIPE,
            timeout=limit,
            check=True,
        )
    except subprocess.TimeoutExpired:
        return nothing | {"status": "killed", "seconds": limit}
    except subprocess.CalledProcessError:  # the process said why
        return nothing | {"status": "failed"}
    return nothing | json.loads(done.stdout)


def outcome(found: Row, aim: Aim) -> Row:
    """The columns of a solver's result."""
    return {
        "value": number(found["value"]),
        "bound": number(found["bound"]),
        "gap %": f"{100 * found['gap']:.2g}",
        "status": found["status"],
        "seconds": f"{found['seconds']:.3g}",
        "peak MB": f"{found['bytes'] / 1e6:.0f}",
        "aim": aim.text,
        "met": "yes" if aim.reached(found) else "no",
    }


def agree(ours: Row, *others: Row) -> bool:
    """Whether all that came to their end found one value."""
    values = [found["value"] for found in (ours, *others) if found["status"] in ENDED]
    return all(isclose(value, values[0], rel_tol=1e-6) for value in values)


def number(value: float | None) -> str:
    """With seven digits; nothing for None."""
    return "" if value is None else f"{value:.7g}"


def summary(part: str, rows: Sequence[Row], shares: dict[str, float]) -> list[Row]:
    """How many cells of each size and aim reach it.

    Args:
        part: The rows' table.
        rows: Of `outcome` and what they are about.
        shares: By an aim's text, the share of cells that should reach it.
    """
    lines = []
    for key, own in groupby(sorted(rows, key=_block), _block):
        block = list(own)
        met = sum(row["met"] == "yes" for row in block)
        bounded = all(row["status"] in ("optimal", "feasible") for row in block)
        wanted = shares[block[0]["aim"]] * len(block)
        lines.append(
            {"part": part}
            | {
                "tasks": key[0],
                "groups": ", ".join(dict.fromkeys(str(row["groups"]) for row in block)),
            }
            | {"objective": key[1], "variant": key[2], "aim": key[3]}
            | {"cells": len(block), "met": met, "wanted": f"{wanted:g}"}
            | {"worst gap %": max((row["gap %"] for row in block), key=float)}
            | {"longest s": max((row["seconds"] for row in block), key=float)}
            | {"peak MB": max((row["peak MB"] for row in block), key=float)}
            | {"reached": "yes" if bounded and met >= wanted else "no"}
        )
    return lines


def _block(row: Row) -> tuple[Any, ...]:
    return (row["tasks"], row["objective"], row.get("variant", "cover"), row["aim"])
