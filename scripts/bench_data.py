"""Images per second of NYUv2's loader at 288x384, against a plain numpy read of the same files.

    python scripts/bench_data.py [--images 48] [--batch 4] [--epochs 5]

The floor is `numpy.load` of the four files of every example, in the loader's order, and nothing else.
Rounds go through the floor and the loaders in turn; told is the median over rounds. All files are in
the system's cache after the first, uncounted round.
"""

import argparse
import functools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from mtlrun.data.nyuv2 import NYUv2
from mtlrun.engine.loader import TrainLoader

HEIGHT, WIDTH = 288, 384


def main() -> None:
    """Writes files to a temporary folder, measures, prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_files(root, asked.images)
        ways: dict[str, Callable[[int], None]] = {"numpy read": lambda _: read(root, asked.images)}
        for augment in (False, True):
            for num_workers in (0, 2):
                loader = TrainLoader(
                    NYUv2(root=folder, augment=augment).split("train"),
                    batch_size=asked.batch,
                    seed=0,
                    num_workers=num_workers,
                )
                name = f"workers {num_workers}{', augmented' if augment else ''}"
                ways[name] = functools.partial(exhaust, loader)
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for epoch in range(asked.epochs + 1):
            for name, way in ways.items():
                start = time.perf_counter()
                way(epoch)
                rates[name].append(asked.images / (time.perf_counter() - start))
    medians = {name: statistics.median(own[1:]) for name, own in rates.items()}
    for name, rate in medians.items():
        share = rate / medians["numpy read"]
        sys.stdout.write(f"{name:24s}{rate:9.1f} images/s{100 * share:7.0f} % of the floor\n")


def write_files(root: Path, count: int) -> None:
    """Random pictures and maps in the layout; one example to test."""
    rng = np.random.default_rng(0)
    for part, own in (("train", count), ("val", 1)):
        for folder in ("image", "label", "depth", "normal"):
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
        for folder in ("image", "label", "depth", "normal"):
            np.load(root / "train" / folder / f"{index}.npy")


def exhaust(loader: TrainLoader, epoch: int) -> None:
    """An epoch of batches."""
    for _ in loader.batches(epoch):
        continue


if __name__ == "__main__":
    main()
