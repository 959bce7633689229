"""Accuracy of finished runs under adversarial noise, and how unsure their wrong predictions are.

    mtlrun -m method=bmtl,vbmtl,vmtl,vmtl_ac data=multi_domain_toy seed=0,1,2
    python scripts/robustness.py outputs/multi_domain_toy/*/default/seed* --noise 0 0.05 0.1 0.2

Noise is the fast gradient sign method's: x + e sign(gradient of the task's loss w.r.t. x), where x are the
inputs that the models read (features), in evaluation mode: posterior means, or the averages over draws that
method.num_test asks for. The level e is in the inputs' own units, and their root mean square is told; with
--relative it is in multiples of that.

The entropy ratio is the mean entropy of the predictions that are wrong divided by that of the right ones,
over all tasks' examples without noise. [VMTL, supplement C.7, Fig. C.2 and Table C.16]

Runs of one method and settings are one line of the figure: means over seeds, with deviations.
"""

import argparse
import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from _bench import console, show, write
from torch import Tensor

from mtlrun.config import setup_of
from mtlrun.core.model import MultiTaskModel
from mtlrun.core.task import Task
from mtlrun.engine.device import device_named, float32_rounding
from mtlrun.engine.files import read_json
from mtlrun.engine.loader import EvalLoader
from mtlrun.engine.trained import trained_models
from mtlrun.reports._canvas import EMPTY, make_figure, save, write_caption
from mtlrun.reports._curves import COLOURS

NOISE = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
NAME, MIDDLE = "method", "accuracy"


@dataclass(frozen=True)
class Served:
    """A task, its model, its examples [N, ...] with classes [N], and whether inputs are its own."""

    task: Task
    model: MultiTaskModel
    inputs: Tensor
    classes: Tensor
    own_inputs: bool

    def parts(self, size: int = 512) -> Iterator[tuple[Tensor, Tensor]]:
        """Some examples at a time."""
        yield from zip(self.inputs.split(size), self.classes.split(size), strict=True)

    def logits(self, inputs: Tensor) -> Tensor:
        """[B, C]."""
        by_task = {self.task.name: inputs} if self.own_inputs else inputs
        found: Tensor = self.model(by_task, [self.task.name])[self.task.name]
        return found


def served(folder: Path, split: Any, device: torch.device) -> list[Served]:
    """Every task of a finished run.

    Raises:
        ValueError: If its tasks are not classifications into exclusive classes.
    """
    setup = setup_of(folder)
    models = {frozenset(g.tasks): m.to(device) for g, m in trained_models(setup).items()}
    serving = read_json(folder / "result.json")["served_by"]
    size = setup.trainer.eval_batch_size or setup.trainer.batch_size
    loader = EvalLoader(setup.data.split(split), batch_size=size, max_batches=None)
    batches = list(loader.batches())
    found = []
    for task in setup.data.tasks:
        targets = torch.cat([batch.targets[task.name] for batch in batches])
        if task.output.kind != "vector" or targets.dim() != 1 or targets.is_floating_point():
            raise ValueError(
                f"Every task should tell one of several classes. Found `{task.name}` in {folder}."
            )
        by_task = isinstance(batches[0].inputs, Mapping)
        inputs = torch.cat([b.inputs[task.name] if by_task else b.inputs for b in batches])  # type: ignore[call-overload]  # by task
        model = models[frozenset(serving[task.name])]
        found.append(Served(task, model, inputs.to(device), targets.to(device), by_task))
    return found


def accuracy(own: Served, noise: float) -> float:
    """The share of right predictions of a task under noise."""
    right = 0
    for inputs, classes in own.parts():
        if noise:
            leaf = inputs.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(own.task.loss(own.logits(leaf), classes), leaf)
            inputs = inputs + noise * gradient.sign()  # noqa: PLW2901  # the examples that are scored
        with torch.no_grad():
            right += int((own.logits(inputs).argmax(1) == classes).sum())
    return right / len(own.classes)


@torch.no_grad()
def entropy_ratio(tasks: Sequence[Served]) -> float:
    """Mean entropy of wrong predictions over that of right ones; no number where one of them is missing."""
    entropies, rights = [], []
    for own in tasks:
        for inputs, classes in own.parts():
            logs = own.logits(inputs).log_softmax(1)
            entropies.append(-(logs.exp() * logs).sum(1))
            rights.append(logs.argmax(1) == classes)
    entropy, right = torch.cat(entropies), torch.cat(rights)
    return float(entropy[~right].mean() / entropy[right].mean())


def label_of(folder: Path) -> tuple[str, str]:
    """A run's method, and all that its folder says of it but the seed."""
    result = read_json(folder / "result.json")
    return str(result["method"]), str(folder.resolve().parent)


def labels(folders: Sequence[Path]) -> dict[Path, str]:
    """A name of every run: its method, and its settings where one method has several."""
    told = {folder: label_of(folder) for folder in folders}
    variants = defaultdict(set)
    for method, parent in told.values():
        variants[method].add(parent)
    return {
        folder: method if len(variants[method]) == 1 else f"{method} {Path(parent).name}"
        for folder, (method, parent) in told.items()
    }


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample deviation; the latter 0 of one value."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def draw(
    accuracies: Mapping[str, Mapping[float, Sequence[float]]], path: Path, *, caption: str
) -> None:
    """A line a method: mean accuracy over noise levels, bars of a deviation."""
    figure = make_figure(5.4, 3.6)
    axes = figure.add_subplot()
    for k, (name, by_noise) in enumerate(accuracies.items()):
        levels = sorted(by_noise)
        means, deviations = zip(*(spread(by_noise[level]) for level in levels), strict=True)
        axes.errorbar(
            levels, means, yerr=deviations, label=name, color=COLOURS[k % len(COLOURS)],
            linewidth=1.3, marker="o", markersize=3, capsize=2,
            linestyle=("-", "--", ":")[k // len(COLOURS) % 3],
        )  # fmt: skip
    axes.set_xlabel("noise level", fontsize=9)
    axes.set_ylabel("accuracy, mean over tasks", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(color=EMPTY)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    write_caption(figure, caption)
    save(figure, path)


@float32_rounding("fp32")
def main(words: Sequence[str] | None = None) -> None:
    """Measures, prints, writes tables and draws."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="RUN_FOLDER")
    parser.add_argument("--noise", nargs="+", type=float, default=list(NOISE))
    parser.add_argument("--relative", action="store_true", help="levels in multiples of the RMS")
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("outputs/robustness"))
    options = parser.parse_args(words)
    device = device_named(options.device)
    names = labels(options.folders)
    accuracies: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    ratios: dict[str, list[float]] = defaultdict(list)
    sizes, single = [], []
    for folder, name in names.items():
        tasks = served(folder, options.split, device)
        size = math.sqrt(statistics.fmean(float(own.inputs.square().mean()) for own in tasks))
        sizes.append(size)
        ratios[name].append(entropy_ratio(tasks))
        for level in options.noise:
            found = {
                own.task.name: accuracy(own, level * (size if options.relative else 1.0))
                for own in tasks
            }
            mean = statistics.fmean(found.values())
            accuracies[name][level].append(mean)
            single.append(
                {NAME: name, "folder": folder, "noise": level, MIDDLE: mean}
                | found
                | {"entropy_ratio": ratios[name][-1], "inputs_rms": size}
            )
    rows = []
    for name, by_noise in accuracies.items():
        row: dict[str, Any] = {NAME: name, "runs": len(ratios[name])}
        row["entropy ratio"] = "{:.3f} +- {:.3f}".format(*spread(ratios[name]))
        for level, values in by_noise.items():
            row[f"e={level:g}"] = "{:.3f} +- {:.3f}".format(*spread(values))
        rows.append(row)
    rms = f"{min(sizes):.3g}" if max(sizes) - min(sizes) < 1e-3 else "others by run, see the rows"
    unit = "multiples of the inputs' RMS" if options.relative else "the inputs' units"
    title = f"Accuracy under FGSM noise e in {unit} (RMS {rms}), split {options.split}"
    terminal = console()
    show(terminal, title, rows, words=(NAME,))
    write(options.out, "robustness", title, rows)
    write(options.out, "robustness_runs", f"{title}, by run", single)
    draw(
        accuracies,
        options.out / "robustness.png",
        caption=f"Fast gradient sign method, levels in {unit}; RMS {rms}. Split {options.split}, "
        f"evaluation mode. Bars: a deviation over runs.",
    )
    terminal.print(f"Written to {options.out}")


if __name__ == "__main__":
    main()
