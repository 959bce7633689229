"""Images per second of NYUv2's loader at 288x384, against plain numpy reads of the same files.

    python scripts/bench_data.py [--images 48] [--batch 4] [--epochs 9] [--out FOLDER]

Two floors, both by `numpy.load`, one file after the other: the four files of every example and
nothing else; and the same cast, with channels first, and stacked to batches, which is what a step is
given. Without workers a loader's batch keeps the files' order of axes, and `Batch.to` puts channels
first on the device: rows `on cpu` count that too. Rounds go through the floors and the loaders in turn; told are medians
over rounds, one thread.

On a busy machine the clock on the wall says little, so that shares are of CPU time: that of the
process that works most, which bounds the rate where every process has a core of its own (workers
share one's work), beside the sum of all. Processes of workers are counted on Linux only.
All files are in the system's cache after the first, uncounted round.
"""

import argparse
import csv
import functools
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from mtlrun.data.nyuv2 import NYUv2
from mtlrun.engine.loader import TrainLoader

HEIGHT, WIDTH = 288, 384
FOLDERS = ("image", "label", "depth", "normal")
READ, BATCHED = "numpy read", "numpy read, batched"
COLUMNS = (
    "way", "wall images/s", "CPU ms/image, all", "busiest", f"% of {READ}", f"% of {BATCHED}",
)  # fmt: skip


def main() -> None:
    """Writes files to a temporary folder, measures, prints and writes a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--out", type=Path, default=Path("outputs/bench"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), asked.images)
        rows = measure(ways_to_read(Path(folder), asked), asked)
    console = Console(width=None if sys.stdout.isatty() else 120)
    title = f"NYUv2 at {HEIGHT}x{WIDTH} from npy, shares by CPU time"
    table = Table(title=title)
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "way" else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    asked.out.mkdir(parents=True, exist_ok=True)
    with (asked.out / "data.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    console.print(f"Written to {asked.out / 'data.csv'}")


def ways_to_read(root: Path, asked: argparse.Namespace) -> dict[str, Callable[[int], None]]:
    """The floors and the loaders; each reads an epoch."""
    ways: dict[str, Callable[[int], None]] = {
        READ: lambda _: read(root, asked.images),
        BATCHED: lambda _: read_batched(root, asked.images, asked.batch),
    }
    for augment in (False, True):
        for num_workers in (0, 2):
            loader = TrainLoader(
                NYUv2(root=str(root), augment=augment).split("train"),
                batch_size=asked.batch,
                seed=0,
                num_workers=num_workers,
            )
            name = f"workers {num_workers}{', augmented' if augment else ''}"
            ways[name] = functools.partial(exhaust, loader, "")
            ways[f"{name}, on cpu"] = functools.partial(exhaust, loader, "cpu")
    return ways


def measure(
    ways: dict[str, Callable[[int], None]], asked: argparse.Namespace
) -> list[tuple[str, ...]]:
    """Rows of the table."""
    walls: dict[str, list[float]] = {name: [] for name in ways}
    sums: dict[str, list[float]] = {name: [] for name in ways}
    most: dict[str, list[float]] = {name: [] for name in ways}
    for epoch in range(asked.epochs + 1):
        for name, way in ways.items():
            wall, before = time.perf_counter(), cpu_seconds()
            way(epoch)
            spent = [now - before.get(who, now) for who, now in cpu_seconds().items()]
            walls[name].append((time.perf_counter() - wall) / asked.images)
            sums[name].append(1e3 * sum(spent) / asked.images)
            most[name].append(1e3 * max(spent) / asked.images)
    cost = {name: statistics.median(own[1:]) for name, own in most.items()}
    return [
        (
            name,
            f"{1 / statistics.median(walls[name][1:]):.0f}",
            f"{statistics.median(sums[name][1:]):.2f}",
            f"{cost[name]:.2f}",
            f"{100 * cost[READ] / cost[name]:.0f}",
            f"{100 * cost[BATCHED] / cost[name]:.0f}",
        )
        for name in ways
    ]


def cpu_seconds() -> dict[int, float]:
    """Of this process (0) and of its workers so far."""
    seconds = {0: time.process_time()}
    if sys.platform == "linux":
        for worker in multiprocessing.active_children():
            if worker.pid is not None:  # the clock of clock_getcpuclockid(3)
                seconds[worker.pid] = time.clock_gettime((~worker.pid << 3) | 2)
    return seconds


def write_files(root: Path, count: int) -> None:
    """Random pictures and maps in the layout; one example to test."""
    rng = np.random.default_rng(0)
    for part, own in (("train", count), ("val", 1)):
        for folder in FOLDERS:
            (root / part / folder).mkdir(parents=True)
        for index in range(own):
            size = (HEIGHT, WIDTH)
            maps = {
                "image": rng.random((*size, 3), np.float32),
                "label": rng.integers(-1, 13, size).astype(np.float32),
                "depth": rng.random((*size, 1), np.float32),
                "normal": rng.random((*size, 3), np.float32),
            }
            for folder, values in maps.items():
                np.save(root / part / folder / f"{index}.npy", values)


def read(root: Path, count: int) -> None:
    """The four files of every example."""
    for index in range(count):
        for folder in FOLDERS:
            np.load(root / "train" / folder / f"{index}.npy")


def read_batched(root: Path, count: int, batch: int) -> None:
    """The same as batches [B, C, H, W] of float32, labels [B, H, W] of int64."""
    for start in range(0, count, batch):
        for folder in FOLDERS:
            maps = []
            for index in range(start, min(start + batch, count)):
                values = np.load(root / "train" / folder / f"{index}.npy")
                if folder == "label":
                    maps.append(values.astype(np.int64))
                else:
                    maps.append(values.astype(np.float32, copy=False).transpose(2, 0, 1))
            np.stack(maps)


def exhaust(loader: TrainLoader, device: str, epoch: int) -> None:
    """An epoch of batches, moved to a device if one is named."""
    for batch in loader.batches(epoch):
        if device:
            batch.to(device)


if __name__ == "__main__":
    main()
