"""Tables of runs: a row for every setting, a column for every number, means over seeds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mtlrun.reports.aggregates import Scores, mean_and_std
from mtlrun.reports.measures import Split, mean_scores, scores_of
from mtlrun.reports.runs import Run


@dataclass(frozen=True)
class Cell:
    """The mean over n seeds, and their sample standard deviation; None where unknown."""

    mean: float | None
    std: float | None
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class Column:
    """A number that rows have.

    Attributes:
        task: Whose metric it is; empty for numbers over all tasks.
        name: Of the metric or number.
        higher_is_better: None where neither is.
        style: How it is written: "score", four digits of the largest; "count", the same without a
            deviation of 0; "percent" and "share", signed; "whole".
    """

    task: str
    name: str
    higher_is_better: bool | None
    style: str = "score"


@dataclass(frozen=True, eq=False)
class Row:
    """Runs that differ in their seed only.

    Attributes:
        method: Their method.
        told: What tells them from other rows of the method, as "weighting=uw"; empty if nothing.
        runs: In order of their seeds.
        cells: By column.
    """

    method: str
    told: str
    runs: tuple[Run, ...]
    cells: Mapping[Column, Cell] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Method and what tells it apart."""
        return f"{self.method} {self.told}".rstrip()

    @property
    def seeds(self) -> tuple[int, ...]:
        """In order."""
        return tuple(run.seed for run in self.runs)


@dataclass(frozen=True, eq=False)
class ResultTable:
    """The runs of one dataset, backbone and budget.

    Attributes:
        data: The dataset's name.
        backbone: The backbone's name.
        budget: In words: "10 epochs".
        told: What tells the table from others of the same name, as "data.train_share=0.05".
        rows: By method, in the order of their names, single_task first.
        columns: Tasks' metrics, then numbers over all tasks, then costs.
        notes: What a reader should know.
    """

    data: str
    backbone: str
    budget: str
    told: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """In a line."""
        parts = [self.data, self.backbone, self.budget, self.told]
        return ", ".join(part for part in parts if part)

    def best(self, column: Column) -> float | None:
        """The best mean of a column; None where no two rows have one or neither direction is better."""
        means = [row.cells[column].mean for row in self.rows if column in row.cells]
        known = [mean for mean in means if mean is not None and math.isfinite(mean)]
        if len(known) < 2 or column.higher_is_better is None:
            return None
        return max(known) if column.higher_is_better else min(known)


def row_scores(row: Row, split: Split, chosen_on: Split | None) -> list[Scores]:
    """Of every seed; none at all where one run does not know them."""
    found = [scores_of(run.result, split, chosen_on) for run in row.runs]
    known = [scores for scores in found if scores is not None]
    return known if len(known) == len(found) else []


def cell_of(values: Sequence[float | None]) -> Cell:
    """Of a number's values by seed."""
    mean, std = mean_and_std(values)
    known = tuple(value for value in values if value is not None)
    return Cell(mean, std, known if mean is not None else ())


def row_means(row: Row, split: Split, chosen_on: Split | None) -> Scores | None:
    """Scores averaged over seeds."""
    scores = row_scores(row, split, chosen_on)
    return mean_scores(scores) if scores else None
