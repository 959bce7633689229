"""Losses and metrics of a model on a split."""

from collections.abc import Iterable, Sequence

import torch

from mtlrun.core.batch import Batch
from mtlrun.core.distributed import average_
from mtlrun.core.method import StepSettings
from mtlrun.core.model import MultiTaskModel, full_precision
from mtlrun.core.task import Task
from mtlrun.engine.seeding import generator_state, set_generator_state


def evaluate(
    model: MultiTaskModel,
    tasks: Sequence[Task],
    batches: Iterable[Batch],
    settings: StepSettings,
) -> dict[str, dict[str, float]]:
    """Each task's metrics and its loss (as "loss", the mean over its examples) in evaluation mode.

    Tasks with inputs of their own may have fewer examples than others, none in some batches. Over
    several processes the numbers are those of all their batches together. Generators are left as
    they were.

    Args:
        model: Left in the mode it was in.
        tasks: Those that are evaluated.
        batches: Of this process.
        settings: Precision.

    Returns:
        By task, by metric.
    """
    device = next(model.parameters()).device
    metrics = {
        task.name: {name: make().to(device) for name, make in task.metrics.items()}
        for task in tasks
    }
    float64 = _float64_device(device)
    totals = torch.zeros(len(tasks), dtype=torch.float64, device=float64)
    counts = torch.zeros_like(totals)
    training, generators = model.training, generator_state()
    model.eval()
    with torch.no_grad():
        for cpu_batch in batches:
            batch = cpu_batch.to(device)
            sizes = [len(batch.targets[task.name]) for task in tasks]
            present = [index for index, size in enumerate(sizes) if size]
            if not present:
                continue
            with settings.autocast(device):
                predictions = model(batch.inputs, [tasks[index].name for index in present])
            for index in present:
                task = tasks[index]
                prediction = full_precision(predictions[task.name])
                target = batch.targets[task.name]
                totals[index] += task.loss(prediction, target).to(totals) * sizes[index]
                counts[index] += sizes[index]
                for metric in metrics[task.name].values():
                    metric.update(prediction, target)
    model.train(training)
    set_generator_state(generators)
    average_([totals, counts])
    losses = totals / counts
    return {
        task.name: {"loss": float(loss)}
        | {name: float(metric.compute()) for name, metric in metrics[task.name].items()}
        for task, loss in zip(tasks, losses, strict=True)
    }


def _float64_device(device: torch.device) -> torch.device:
    return torch.device("cpu") if device.type == "mps" else device
