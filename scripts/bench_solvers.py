"""How good the grouping solvers are and how long they take, beside Eq. 9 as it is and TAG's own search.

    python scripts/bench_solvers.py                              # everything: three quarters of an hour
    python scripts/bench_solvers.py --quick                      # a little of everything: two minutes
    python scripts/bench_solvers.py --part many --tasks 40 60 --family gauss blocks --time-limit 30
    python scripts/bench_solvers.py --part table5 --tasks 9 --search-limit 60

Every measurement is a process of its own with one thread, one after the other; its peak memory is that
of the whole process, Python and libraries included. A gap is (bound - value) / |value|; "optimal" is a
gap of at most 1e-6 relative. Rows are written to outputs/bench as they are measured.

    table5      the sizes of PTG's Table 5, on the matrices published with TAG. COP's and ETTm1's are not
                published: 6 and 7 tasks are the first of CelebA's. Eq. 9 is `solver=mip`, which for
                best_group is an integer program over all subsets. The search is of best_group only, and
                leaves nothing out.
    twenty      20 tasks, 8 groups
    many        40 to 100 tasks, 10 groups, eight families of matrices
    best_group  20 to 40 tasks, best_group, groups that overlap
    memory      22 tasks, all objectives
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from _bench import Row, console, show, write
from _families import FAMILIES
from _solver_rows import (
    Aim,
    agree,
    close,
    measured,
    nontrivial,
    number,
    outcome,
    small,
    solved,
    summary,
)

WORDS = ("part", "matrix", "family", "objective", "variant", "status", "aim", "met", "mip status")
HIDDEN = ("matrix", "aim", "seed", "mip status", "mip value", "search value", "all nodes")
PUBLISHED = {5: "tag_taskonomy", 6: "tag_celeba", 7: "tag_celeba", 9: "tag_celeba"}
GROUPS = {5: (2, 3, 4, 5), 6: (2, 3, 4, 5, 6), 7: (2, 3, 4, 5, 6), 9: (2, 3, 4, 5, 6)}
MOST_GROUPS = {20: (6, 10), 25: (6,), 30: (6,), 40: (10,)}  # of best_group
# arXiv:2402.15328, Table 5: seconds of its integer program (MP) and of TAG's search (BB), 2 groups and
# more; None for more than 8 hours. Taskonomy, COP, ETTm1, CelebA.
PAPER: dict[int, tuple[Sequence[float | None], Sequence[float | None]]] = {
    5: ((0.110, 0.563, 1.253, 1.733), (0.002, 0.046, 0.431, 2.454)),
    6: ((0.085, 0.713, 0.899, 1.621, 5.013), (0.007, 0.279, 5.955, 88.8, 1017.6)),
    7: ((0.122, 1.078, 1.677, 2.218, 4.158), (0.024, 2.005, 97.8, 3672, None)),
    9: ((0.907, 2.255, 4.009, 7.261, 21.44), (0.312, 115.8, None, None, None)),
}


def table5(options: argparse.Namespace) -> Iterator[tuple[Row, Aim]]:
    """PTG's Table 5: ours, Eq. 9 and TAG's search."""
    for n in [n for n in GROUPS if n in (options.tasks or GROUPS)]:
        for m in GROUPS[n][:2] if options.quick else GROUPS[n]:
            for objective in ("gain", "best_group"):
                cell = {"published": PUBLISHED[n], "tasks": n, "groups": m, "objective": objective}
                ours = measured(**cell, solver="auto", repeats=3, limit=options.time_limit)
                aim = solved(0.05 if objective == "gain" else 0.1)
                row: Row = {"matrix": PUBLISHED[n], "tasks": n, "groups": m, "objective": objective}
                row |= outcome(ours, aim) | {"ms": f"{1e3 * ours['seconds']:.1f}"}
                mip = measured(**cell, solver="mip", limit=options.mip_limit)
                row |= {"mip s": f"{mip['seconds']:.3g}", "mip status": mip["status"]}
                row |= {"mip value": number(mip["value"]), "mip gap %": f"{100 * mip['gap']:.2g}"}
                others = [mip]
                if objective == "best_group":
                    search = measured(**cell, solver="search", limit=options.search_limit)
                    capped = "> " if search["nodes"] < search["all nodes"] else ""
                    row |= {"search s": f"{capped}{search['seconds']:.3g}"}
                    row |= {"search value": number(search["value"])}
                    row |= {"nodes": search["nodes"], "all nodes": search["all nodes"]}
                    others.append(search)
                printed = PAPER[n][objective != "gain"][m - 2]
                row["paper s"] = "> 8 h" if printed is None else printed
                yield row | {"agree": "yes" if agree(ours, *others) else "no"}, aim


def families(
    options: argparse.Namespace, n: int, m: int, objective: str, aim: Aim
) -> Iterator[tuple[Row, Aim]]:
    """Rows of all families and variants."""
    for family in options.family:
        for variant in options.variant:
            for seed in options.seed:
                row: Row = {"family": family, "seed": seed, "variant": variant}
                row |= {"tasks": n, "groups": m, "objective": objective}
                found = measured(
                    **{key: value for key, value in row.items() if key != "variant"},
                    partition=variant == "partition",
                    solver="auto",
                    limit=options.time_limit,
                )
                yield row | outcome(found, aim), aim


def twenty(options: argparse.Namespace) -> Iterator[tuple[Row, Aim]]:
    """20 tasks, 8 groups."""
    yield from families(options, 20, 8, "gain", solved(1))


def many(options: argparse.Namespace) -> Iterator[tuple[Row, Aim]]:
    """40 to 100 tasks, 10 groups."""
    limit = options.time_limit
    for n in options.tasks or ((40,) if options.quick else (40, 60, 80, 100)):
        if n <= 60:
            aim = solved(limit) if n <= 40 else close(1, limit)
        else:
            aim = close(5, limit, share=6 / 8, megabytes=2000)
        yield from families(options, n, 10, "gain", aim)


def best_group(options: argparse.Namespace) -> Iterator[tuple[Row, Aim]]:
    """20 to 40 tasks, groups that overlap."""
    for n in options.tasks or ((20,) if options.quick else MOST_GROUPS):
        if n <= 25:
            aim = solved(5 if n <= 20 else 10)
        else:
            aim = close(2, options.time_limit) if n <= 30 else nontrivial(options.time_limit)
        for m in MOST_GROUPS.get(n, (6,)):
            yield from families(options, n, m, "best_group", aim)


def memory(options: argparse.Namespace) -> Iterator[tuple[Row, Aim]]:
    """22 tasks."""
    for objective in ("gain",) if options.quick else ("gain", "best_group", "hoa"):
        yield from families(options, 22, 6, objective, small(1000))


PARTS = {part.__name__: part for part in (table5, twenty, many, best_group, memory)}
VARIANTS = ("cover", "partition")


def main() -> int:
    """Measures, prints and writes the tables; the number of cells that failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--tasks", nargs="+", type=int, help="of table5, many and best_group")
    parser.add_argument("--family", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--variant", nargs="+", choices=VARIANTS, help="default: as the aims say")
    parser.add_argument("--seed", nargs="+", type=int, default=[0])
    parser.add_argument("--time-limit", type=float, default=60.0, help="seconds of a cell")
    parser.add_argument("--mip-limit", type=float, default=10.0, help="seconds of Eq. 9")
    parser.add_argument("--search-limit", type=float, default=10.0, help="seconds of TAG's search")
    parser.add_argument("--out", type=Path, default=Path("outputs/bench"))
    parser.add_argument("--quick", action="store_true", help="few sizes and families, short limits")
    options = parser.parse_args()
    if options.quick:
        options.family = options.family[:2]
        options.time_limit = min(options.time_limit, 20.0)
        options.mip_limit = options.search_limit = 2.0
    terminal, lines, failed, variant = console(), [], 0, options.variant
    for part in options.part:
        options.variant = variant or (("cover",) if part == "best_group" else VARIANTS)
        rows: list[Row] = []
        shares = {}
        title = f"Grouping solvers: {part} (1 thread, at most {options.time_limit:g} s)"
        for row, aim in PARTS[part](options):
            rows.append(row)
            shares[aim.text] = aim.share
            failed += row["status"] in ("failed", "killed") or row.get("agree") == "no"
            sys.stderr.write(f"{part}: {', '.join(str(value) for value in row.values())}\n")
            write(options.out, f"solvers_{part}", title, rows)
        shown = [{key: row[key] for key in row if key not in HIDDEN} for row in rows]
        show(terminal, title, shown, words=WORDS)
        lines += summary(part, rows, shares)
        write(options.out, "solvers_aims", "Grouping solvers: what was aimed at", lines)
    show(terminal, "What was aimed at", lines, words=WORDS)
    terminal.print(f"Written to {options.out}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
