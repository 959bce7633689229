"""The numbers that sum up a table, as the papers define them."""

import math
import statistics
from collections.abc import Mapping, Sequence

Scores = Mapping[str, Mapping[str, float]]
Directions = Mapping[str, Mapping[str, bool]]


def relative_change(value: float, reference: float, *, higher_is_better: bool) -> float | None:
    """(value - reference) / |reference|, signed so that positive is better.

    Differs: the papers divide by the reference itself, which is the same where it is positive.

    Returns:
        A share, not percent; None where the reference is 0 or one of the two is not finite.
    """
    if reference == 0 or not (math.isfinite(value) and math.isfinite(reference)):
        return None
    change = value - reference if higher_is_better else reference - value
    return change / abs(reference)


def delta_m(scores: Scores, reference: Scores, directions: Directions) -> float | None:
    """Mean over tasks of the mean over their metrics of the signed relative change, in percent.

    Source: Maninis et al., Attentive Single-Tasking of Multiple Tasks, CVPR 2019, arXiv:1904.08918, and
    Selective Task Group Updates, Section 5, where one metric of each task counts: give the
    directions of `leading_alone`. With those of all metrics this is 100 times `delta_i`, and what
    papers on NYUv2 in the files of MTAN call Delta_m.

    Args:
        scores: By task, by metric.
        reference: Of the single-task models, likewise.
        directions: Likewise, whether higher is better; says which tasks and metrics count.

    Returns:
        Percent, positive is better than single-task; None where a number is missing, so that a
        mean over fewer tasks never passes for one over all.
    """
    changes = [task_change(task, scores, reference, own) for task, own in directions.items()]
    known = [change for change in changes if change is not None]
    if not changes or len(known) < len(changes):
        return None
    return statistics.fmean(known)


def leading_alone(directions: Directions, leading: Mapping[str, str]) -> Directions:
    """The directions of one metric a task, those that `delta_m` counts.

    Args:
        directions: By task, by metric.
        leading: The metric of each task that counts.
    """
    return {task: {leading[task]: own[leading[task]]} for task, own in directions.items()}


def task_change(
    task: str, scores: Scores, reference: Scores, directions: Mapping[str, bool]
) -> float | None:
    """One task's part of `delta_m`: the mean over its metrics, in percent; None where a number is missing."""
    changes = []
    for metric, higher_is_better in directions.items():
        value = scores.get(task, {}).get(metric)
        before = reference.get(task, {}).get(metric)
        if value is None or before is None:
            return None
        change = relative_change(value, before, higher_is_better=higher_is_better)
        if change is None:
            return None
        changes.append(100 * change)
    return statistics.fmean(changes) if changes else None


def delta_i(scores: Scores, reference: Scores, directions: Directions) -> float | None:
    """The mean over all metrics of all tasks, inside each task first, as a share, as Deep Safe Multi-Task Learning prints it.

    Source: Deep Safe Multi-Task Learning, Section 7.1, Delta_I.

    Args:
        scores: By task, by metric.
        reference: Of the single-task models, likewise.
        directions: Likewise, whether higher is better; says which tasks and metrics count.

    Returns:
        A share, positive is better than single-task; None where a number is missing.
    """
    percent = delta_m(scores, reference, directions)
    return None if percent is None else percent / 100


def safeness(scores: Scores, reference: Scores, directions: Directions) -> float | None:
    """Mean over tasks of the share of their metrics that are no worse than single-task, in percent.

    Source: Deep Safe Multi-Task Learning, Section 7.1, eta. Equal counts as safe.

    Args:
        scores: By task, by metric.
        reference: Of the single-task models, likewise.
        directions: Likewise, whether higher is better; says which tasks and metrics count.

    Returns:
        0..100; None where a number is missing or not finite.
    """
    shares = []
    for task, own in directions.items():
        safe = []
        for metric, higher_is_better in own.items():
            value = scores.get(task, {}).get(metric, math.nan)
            before = reference.get(task, {}).get(metric, math.nan)
            if not (math.isfinite(value) and math.isfinite(before)):
                return None
            safe.append(value >= before if higher_is_better else value <= before)
        if not safe:
            return None
        shares.append(statistics.fmean(safe))
    return 100 * statistics.fmean(shares) if shares else None


def total(scores: Scores, leading: Mapping[str, str]) -> float | None:
    """Sum over tasks of their leading metric.

    Source: the totals of PTG's Tables 2 (the total error, where each task's is 100 less its accuracy
    in percent) and 4 (MAE).

    Args:
        scores: By task, by metric.
        leading: The metric of each task that counts.

    Returns:
        The sum; None where a number is missing or where the tasks' metrics differ, whose sum would
        mean nothing.
    """
    if len(set(leading.values())) != 1:
        return None
    values = [scores.get(task, {}).get(metric) for task, metric in leading.items()]
    known = [value for value in values if value is not None]
    return math.fsum(known) if len(known) == len(values) else None


def average(scores: Scores, leading: Mapping[str, str]) -> float | None:
    """Mean over tasks of their leading metric, as the last column of VMTL's tables.

    Args:
        scores: By task, by metric.
        leading: The metric of each task that counts.

    Returns:
        The mean; None where there is no `total`.
    """
    summed = total(scores, leading)
    return None if summed is None else summed / len(leading)


def mean_and_std(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation; (None, None) where a value is missing, no deviation of one."""
    known = [value for value in values if value is not None]
    if not values or len(known) < len(values):
        return None, None
    return statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None
