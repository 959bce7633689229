"""Selective updates beside single_task and hps with every weighting, and the paper's ablations, on the built-in rooms.

    python scripts/sweep_selective.py                  # Tables 2 and 3, three seeds: half an hour of one core
    python scripts/sweep_selective.py --table order    # Table 5: in which order groups step
    python scripts/sweep_selective.py --table beta     # Table D.4: the weight of a new affinity
    python scripts/sweep_selective.py --table grouping # Table D.5: how groups are formed
    python scripts/sweep_selective.py --table batch    # Table D.6: batches of 4, 8 and 16
    python scripts/sweep_selective.py --table all --seeds 0 --epochs 1

Every run is one of the command's: finished runs are not repeated, an interrupted one is resumed, and
tables share trainings through the store. Every training takes the same number of batches, as in the
paper. That is no equal effort: M groups are M optimizer steps a batch, and the methods of gradients
walk back once a task. `groups` is the mean number of groups, `steps` that of optimizer steps of a
training, `seconds` the time of a seed's trainings; `hps equal x2` and `x3` are trained on two and three
times as many batches, to tell the effect of more steps from that of groups.

delta_m is the mean over tasks of the relative change of their leading metric to the single-task model of
the same seed, in percent, on the test split: mean and sample standard deviation over seeds.
The column of a task is its leading metric's mean. Rows whose training diverges are empty, as the
paper's. Paper's settings but for those of the rooms' recipe and a warm-up as short as the training.
"""

import argparse
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _sweep
from _sweep import DIVERGED, Result, common, deviation, seconds, table, write

from mtlrun._catalogue import options as files_of
from mtlrun.reports.aggregates import delta_m, leading_alone

TASKS = ("segmentation", "depth", "normals", "edges", "keypoints")
BATCHES_TO_WARM_UP = 16
EVERY = ("delta_m", "delta_m_std", "groups", "steps", "seconds")


@dataclass(frozen=True)
class Row:
    """A line of a table.

    Attributes:
        name: In the table.
        words: What its runs are set to, beside what all runs are.
        times: How many times the others' batches it is trained on.
    """

    name: str
    words: tuple[str, ...]
    times: int = 1


def weighted(name: str) -> Row:
    """Hard sharing with a weighting."""
    return Row(f"hps {name}", ("method=hps", f"weighting={name}"))


def longer(row: Row, times: int) -> Row:
    """The same for more batches: what as many optimizer steps would do without groups."""
    return Row(f"{row.name} x{times}", row.words, times)


def selective(name: str, *words: str) -> Row:
    """Selective updates with further settings."""
    warmup = f"method.warmup={BATCHES_TO_WARM_UP}"
    return Row(f"selective {name}".strip(), ("method=selective", warmup, *words))


def grouped(grouping: str, *words: str) -> Row:
    """Selective updates with another way to form groups; those that read no affinity need no warm-up."""
    name, chosen = " ".join((grouping, *words)), (f"method.grouping={grouping}", *words)
    if grouping in ("singletons", "random"):
        return Row(f"selective {name}", ("method=selective", *chosen))
    return selective(name, *chosen)


def batched(row: Row, size: int) -> Row:
    """The same with another batch size."""
    return Row(f"{row.name} batch={size}", (*row.words, f"trainer.batch_size={size}"), row.times)


SINGLE = Row("single_task", ("method=single_task",))
JOINT, OURS = weighted("equal"), selective("")


def tables() -> Mapping[str, Sequence[Row]]:
    """The rows of every table, the reference first."""
    others = [weighted(name) for name in files_of("weighting") if name != "equal"]
    return {
        "main": [
            SINGLE,
            JOINT,
            *others,
            OURS,
            selective("code", "method.variant=code"),
            longer(JOINT, 2),
            longer(JOINT, 3),
        ],
        "order": [
            SINGLE,
            JOINT,
            grouped("singletons"),
            selective("forward", "method.order=forward"),
            selective("backward", "method.order=backward"),
            OURS,
        ],
        "beta": [
            SINGLE,
            JOINT,
            *(selective(f"beta={b}", f"method.beta={b}") for b in ("1e-4", "1e-2", "1e-1", "0.5")),
            OURS,
        ],
        "grouping": [
            SINGLE,
            JOINT,
            grouped("heterogeneous"),
            *(grouped("random", f"method.num_groups={count}") for count in (2, 3, 4)),
            grouped("singletons"),
            grouped("cliques"),
            grouped("affinity_propagation"),
            OURS,
        ],
        "batch": [SINGLE, *(batched(row, size) for size in (4, 8, 16) for row in (JOINT, OURS))],
    }


def run(row: Row, seed: int, options: argparse.Namespace) -> Result | None:
    """A run, or its stored result; None if it diverges."""
    epochs = row.times * options.epochs
    words = [*common(options.folder, options.tasks, seed, epochs), *row.words, *options.set]
    folder = options.folder / row.name.replace(" ", "_") / f"seed{seed}"
    try:
        return _sweep.run(words, folder)
    except subprocess.CalledProcessError as error:
        if error.returncode == DIVERGED:
            return None
        raise


def line(
    row: Row, results: Sequence[Result | None], references: Sequence[Result]
) -> dict[str, Any]:
    """A line of the table, over seeds; only the name if a run diverged."""
    found = [result for result in results if result is not None]
    if len(found) < len(results):
        return {"method": row.name}
    deltas = [_delta(*pair) for pair in zip(found, references, strict=True)]
    groups = [own for own in map(_mean_groups, found) if own is not None]
    batches = found[0]["trainings"][0]["num_steps"]
    told = {
        "method": row.name,
        "delta_m": f"{statistics.fmean(deltas):.2f}",
        "delta_m_std": f"{deviation(deltas):.2f}",
        "groups": f"{statistics.fmean(groups):.2f}" if groups else "-",
        "steps": round(batches * statistics.fmean(map(_steps_a_batch, found))),
        "seconds": seconds(found),
    }
    for task in found[0]["tasks"]:
        name, metric = task["name"], task["metrics"][0]
        values = [result["scores"]["test"][name][metric] for result in found]
        told[f"{name} {metric}"] = f"{statistics.fmean(values):.4g}"
    return told


def make(name: str, rows: Sequence[Row], options: argparse.Namespace) -> None:
    """Runs what a table lacks and prints it.

    Raises:
        ValueError: If a single-task run diverged.
    """
    references: list[Result] = []
    for seed in options.seeds:
        found = run(SINGLE, seed, options)
        if found is None:
            raise ValueError(f"Single-task training should not diverge. Found that of seed {seed}.")
        references.append(found)
    leading = [f"{task['name']} {task['metrics'][0]}" for task in references[0]["tasks"]]
    columns = ("method", *EVERY, *leading)
    path = options.folder / f"{name}.csv"
    lines: list[dict[str, Any]] = []
    for row in rows:
        results = [run(row, seed, options) for seed in options.seeds]
        lines.append(line(row, results, references))
        write(lines, columns, path)  # what is known so far, if a later run fails
    sys.stdout.write(f"{table(lines, columns)}\n{path}\n\n")


def main() -> None:
    """Makes one table, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--table", choices=(*tables(), "all"), default="main")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=6, help="of every training, 32 batches each")
    parser.add_argument("--folder", type=Path, default=Path("outputs/selective"))
    parser.add_argument("--set", nargs="*", default=[], help="further settings of every run")
    options = parser.parse_args()
    _sweep.pass_on_sigterm()
    for name, rows in tables().items():
        if options.table in (name, "all"):
            make(name, rows, options)


def _delta(result: Result, reference: Result) -> float:
    directions = {task["name"]: task["directions"] for task in result["tasks"]}
    leading = {task["name"]: task["metrics"][0] for task in result["tasks"]}
    counted = leading_alone(directions, leading)
    found = delta_m(result["scores"]["test"], reference["scores"]["test"], counted)
    if found is None:
        raise ValueError(
            f"Every metric should be finite, and not 0 for the single-task models. Found "
            f"{result['scores']['test']} and {reference['scores']['test']}."
        )
    return found


def _mean_groups(result: Result) -> float | None:
    counts = [t["learned"].get("groups_per_batch") for t in result["trainings"]]
    means = [count["mean"] for count in counts if count]
    return statistics.fmean(means) if means else None


def _steps_a_batch(result: Result) -> float:
    """A group's each, a single one's twice in the published program; 1 for all other methods."""
    learned = [training["learned"] for training in result["trainings"]]
    return statistics.fmean(
        own["steps_per_batch"] if "groups_per_batch" in own else 1.0 for own in learned
    )


if __name__ == "__main__":
    main()
