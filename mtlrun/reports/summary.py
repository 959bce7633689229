"""The final table of a run, from the content of its result.json."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mtlrun.reports.aggregates import (
    Scores,
    delta_i,
    delta_m,
    leading_alone,
    mean_and_std,
    relative_change,
    safeness,
    total,
)
from mtlrun.reports.learned import learned_lines

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One metric of one task.

    Attributes:
        task: Its name.
        metric: Its name.
        higher_is_better: The metric's direction.
        value: On the test split; the mean over draws where there are several. None if unknown.
        std: Over draws; None without them.
        single_task: The same of the single-task model; None if there is none in the store.
        improvement: Over single-task, in percent, positive is better; None if unknown.
        group: The tasks trained together with this one; None where draws differ.
    """

    task: str
    metric: str
    higher_is_better: bool
    value: float | None
    std: float | None
    single_task: float | None
    improvement: float | None
    group: tuple[str, ...] | None


@dataclass(frozen=True)
class Total:
    """A number over all tasks.

    Attributes:
        name: Such as "delta_m" (percent), "delta_i" (a share), "safeness" (percent) or "total mae".
        chosen_on: The split that chose the groups, where several serve a task; else None.
        value: On the test split; the mean over draws where there are several. None if unknown.
        std: Over draws; None without them.
        single_task: The same of the single-task models; None if unknown or 0 by definition.
    """

    name: str
    chosen_on: str | None
    value: float | None
    std: float | None
    single_task: float | None


def rows(result: Result) -> list[Row]:
    """The table's rows, task by task in the data's order; none where phase 2 was not run."""
    if "scores" not in result:
        return []
    reference = _reference(result)
    found = []
    for task in result["tasks"]:
        name = task["name"]
        served = result["served_by"].get(name)
        for metric in task["metrics"]:
            value, std = mean_and_std(
                [scores.get(name, {}).get(metric) for scores in _draws(result)]
            )
            before = reference.get(name, {}).get(metric)
            higher_is_better = task["directions"][metric]
            change = None
            if value is not None and before is not None:
                change = relative_change(value, before, higher_is_better=higher_is_better)
            found.append(
                Row(
                    task=name,
                    metric=metric,
                    higher_is_better=higher_is_better,
                    value=value,
                    std=std,
                    single_task=before,
                    improvement=None if change is None else 100 * change,
                    group=None if result.get("draws") or served is None else tuple(served),
                )
            )
    return found


def totals(result: Result) -> list[Total]:
    """`delta_m` of leading metrics; `delta_i` and `safeness` where there is a reference; the sum of a shared leading metric.

    Where several groups may serve a task, both once for the groups chosen on the validation split
    and once for those chosen on the test split, which is PTG's published rule (Section 5.1).
    """
    if "scores" not in result:
        return []
    chosen_on = result["select_on"]
    other = "test" if chosen_on == "val" else "val"
    choices: list[tuple[str | None, Sequence[Scores]]] = [(None, _draws(result))]
    alternative = result.get(f"scores_{other}_selected")
    if alternative and _is_overlapping(result):
        choices = [(chosen_on, _draws(result)), (other, [alternative["test"]])]
    directions = {task["name"]: task["directions"] for task in result["tasks"]}
    leading = {task["name"]: task["metrics"][0] for task in result["tasks"]}
    counted = leading_alone(directions, leading)
    reference = _reference(result)
    found = []
    for split, draws in choices:
        value, std = mean_and_std([delta_m(scores, reference, counted) for scores in draws])
        found.append(Total("delta_m", split, value, std, None))
    for name, measure in (("delta_i", delta_i), ("safeness", safeness)):
        for split, draws in choices:
            value, std = mean_and_std([measure(scores, reference, directions) for scores in draws])
            if value is not None:
                found.append(Total(name, split, value, std, None))
    if len(set(leading.values())) == 1:
        name = f"total {next(iter(leading.values()))}"
        for split, draws in choices:
            value, std = mean_and_std([total(scores, leading) for scores in draws])
            found.append(Total(name, split, value, std, total(reference, leading)))
    return found


def print_summary(result: Result, console: Console) -> None:
    """Prints the table, the totals and where everything is; plain text where the console is no terminal.

    Args:
        result: The content of result.json.
        console: Of stdout.
    """
    groups = [tuple(group["tasks"]) for group in result["plan"]["groups"]]
    origin = f"{result['method']} on {result['data']}, backbone {result['backbone']}"
    note = " (STL: the single-task runs)" if _reference(result) else ""
    _say(console, f"{origin}, seed {result['seed']}{note}", style="bold")
    table_rows = rows(result)
    if table_rows:
        console.print(_table(table_rows, groups, console))
        for number in totals(result):
            _say(console, _total_line(number))
        _print_missing(result, console)
        for kind in ("training", "test"):
            if chosen := result.get(f"chosen_on_{kind}_data"):
                _say(console, f"chosen on {kind} data: {', '.join(chosen)}", style="dim")
    else:
        _say(console, "collected and planned only; nothing was trained on the plan")
    for name in ("plan", "affinity"):  # else the groups would pass for the method's own
        if result["config"].get(name):
            _say(console, f"{name} given: {result['config'][name]}", soft_wrap=True)
    _print_groups(result, groups, console)
    for line in learned_lines(result):
        _say(console, line)
    for line in _costs(result):
        _say(console, line)
    _print_paths(Path(result["folder"]), console)


def _table(table_rows: Sequence[Row], groups: Sequence[tuple[str, ...]], console: Console) -> Table:
    up, down = ("^", "v") if console.options.ascii_only else ("\u2191", "\u2193")
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("task", overflow="fold")
    table.add_column("metric", overflow="fold")
    with_std = any(row.std is not None for row in table_rows)
    with_group = any(row.group is not None for row in table_rows)
    numbers = ["test", *(["std"] if with_std else []), "STL", "better by"]
    for name in (*numbers, *(["group"] if with_group else [])):
        table.add_column(name, justify="right", no_wrap=True)
    before = None
    for row in table_rows:
        cells = [
            Text("" if row.task == before else row.task),
            Text(f"{row.metric} {up if row.higher_is_better else down}"),
            Text(_number(row.value)),
            *([Text(_number(row.std))] if with_std else []),
            Text(_number(row.single_task)),
            _percent_text(row.improvement),
        ]
        if with_group:
            own = row.group is not None and row.task != before
            cells.append(Text(_group_number(row.group or (), groups) if own else ""))
        table.add_row(*cells)
        before = row.task
    return table


def _print_missing(result: Result, console: Console) -> None:
    names = [task["name"] for task in result["tasks"]]
    missing = [name for name in names if name not in _reference(result)]
    if missing:
        which = "" if len(missing) == len(names) else f" for {', '.join(missing)}"
        command = f"mtlrun method=single_task data={result['data']} ..."
        text = f"no single-task runs in the store{which}: {command} makes them"
        _say(console, text, style="dim", soft_wrap=True)


def _total_line(number: Total) -> str:
    text = f"{number.name} {_total_number(number.name, number.value)}"
    if number.std is not None:
        text += f" +- {_total_number(number.name, number.std).lstrip('+')} over draws"
    if number.chosen_on is not None:
        text += f", groups chosen on {number.chosen_on}"
    if number.single_task is not None:
        text += f" (STL {_number(number.single_task)})"
    return text


def _total_number(name: str, value: float | None) -> str:
    if value is not None and name == "delta_i":
        return f"{value:+.4f}"
    if value is not None and name == "safeness":
        return f"{value:.0f} %"
    return _percent(value) if name == "delta_m" else _number(value)


def _print_groups(result: Result, groups: Sequence[tuple[str, ...]], console: Console) -> None:
    served_by = result.get("served_by") or {}
    draws = result.get("draws") or []
    for k, group in enumerate(groups, 1):
        serves = [task for task in group if set(served_by.get(task, ())) == set(group)]
        note = ""
        if served_by and not draws and len(serves) < len(group):
            note = f" (scored here: {', '.join(serves) or 'none'})"
        _say(console, f"group {k}: {', '.join(group)}{note}")
    for k, draw in enumerate(draws, 1):
        numbers = [_group_number(group, groups) for group in draw["groups"]]
        _say(console, f"draw {k}: groups {', '.join(numbers)}")


def _costs(result: Result) -> list[str]:
    """Times, trainings, parameters and memory, a line each."""
    trainings = result["trainings"]
    planned = {frozenset(group["tasks"]) for group in result["plan"]["groups"]}
    trained = [t for t in trainings if t["phase"] == "train" and frozenset(t["tasks"]) in planned]
    reused = sum(1 for t in trainings if t["reused"])
    times = [f"{phase} {_duration(seconds)}" for phase, seconds in result["seconds"].items()]
    lines = [f"time: {', '.join(times)}"] if times else []
    seconds = _duration(sum(training["seconds"] for training in trainings))
    lines.append(
        f"trainings: {len(trainings)} in {seconds}, of which {reused} reused from the store"
    )
    if trained:
        common = [t.get("learned", {}).get("common_parameters", 0) for t in trained]
        parameters = sum(t["num_parameters"] for t in trained) - sum(common[1:])
        models = "1 model" if len(trained) == 1 else f"{len(trained)} models"
        lines.append(f"parameters: {parameters:,} in {models}")
    if result.get("peak_memory"):
        lines.append(f"peak memory: {result['peak_memory'] / 2**20:,.0f} MiB")
    return lines


def _print_paths(folder: Path, console: Console) -> None:
    """One path a line, unbroken, so that it can be copied."""
    _say(console, f"folder: {folder}", soft_wrap=True)
    for figure in sorted((folder / "figures").glob("*.png")):
        _say(console, f"figure: {figure}", soft_wrap=True)


def _draws(result: Result) -> list[Scores]:
    """Test scores: of every draw, or the one set there is."""
    draws = result.get("draws")
    return [draw["scores"]["test"] for draw in draws] if draws else [result["scores"]["test"]]


def _reference(result: Result) -> Scores:
    return {task: own["test"] for task, own in (result.get("single_task") or {}).items()}


def _is_overlapping(result: Result) -> bool:
    served = [task for group in result["plan"]["groups"] for task in group["serves"]]
    return not result.get("draws") and len(set(served)) < len(served)


def _group_number(group: Sequence[str], groups: Sequence[tuple[str, ...]]) -> str:
    members = [set(own) for own in groups]
    return str(members.index(set(group)) + 1) if set(group) in members else "-"


def _say(console: Console, text: str, *, style: str | None = None, soft_wrap: bool = False) -> None:
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=soft_wrap)


def _number(value: float | None) -> str:
    """Four significant digits; a dash where there is none."""
    if value is None:
        return "-"
    return f"{value:#.4g}".rstrip(".") if 1e-3 <= abs(value) < 1e4 else f"{value:.3g}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2f} %"


def _percent_text(value: float | None) -> Text:
    style = "" if value is None or value == 0 else "green" if value > 0 else "red"
    return Text(_percent(value), style=style)


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
