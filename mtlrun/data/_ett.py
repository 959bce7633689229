"""Electricity transformer data: a CSV of seven series, cut into windows."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from mtlrun.core.batch import Batch, TaskName
from mtlrun.core.data import DataError, DataSource, InputSpec, SplitName
from mtlrun.data._ett_file import Rows, read_rows
from mtlrun.tasks.forecasting import forecasting

SERIES = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
MONTHS = (12, 4, 4)
DAYS_A_MONTH = 30

TimeMarks = Literal["h", "t"]


class ETT(DataSource):
    """What the data sets of one transformer station share.

    Each series is a task; all series are inputs, whatever the tasks. Everything is standardised
    with the mean and the standard deviation (ddof 0) of the training rows.

    Attributes:
        name: Of the dataset.
        file: Its CSV.
        minutes: Between two rows.
    """

    name: ClassVar[str]
    file: ClassVar[str]
    minutes: ClassVar[int]

    def __init__(
        self,
        *,
        path: str | None = None,
        root: str | None = None,
        seq_len: int = 96,
        label_len: int = 48,
        pred_len: int = 24,
        split: Sequence[float] | None = None,
        tasks: Sequence[str] | None = None,
        time_marks: TimeMarks = "h",
    ) -> None:
        _check_lengths(seq_len, label_len, pred_len)
        if split is not None:
            _check_shares(split)
        names = SERIES if tasks is None else tuple(tasks)
        _check_series(names)
        self.path = Path(path) if path is not None else None
        self.root = Path(root) if root is not None else Path("data") / self.name
        self.shares = None if split is None else tuple(float(share) for share in split)
        self.time_marks = time_marks
        self.tasks = tuple(forecasting(name) for name in names)
        num_marks = len(_marks_of(np.zeros(1, "datetime64[s]"), time_marks)[0])
        self.inputs = InputSpec(
            "series",
            (seq_len + pred_len, len(SERIES) + num_marks),
            {
                "seq_len": seq_len,
                "label_len": label_len,
                "pred_len": pred_len,
                "num_series": len(SERIES),
                "num_marks": num_marks,
            },
        )

    def identity(self) -> dict[str, Any]:
        """The file's content stands for its place; which tasks there are is the training's to tell.

        Raises:
            DataError: If the file is missing.
        """
        own = super().identity()
        for name in ("path", "root", "tasks"):
            del own[name]
        return own | {"sha256": self._sha256}

    def split(self, name: SplitName) -> "Windows":
        """The windows of a split; those of `val` and `test` reach back `seq_len` rows.

        Raises:
            DataError: If the file is missing, corrupt, or too short.
        """
        index = SPLITS.index(name)
        begin, end = self._ranges[index]
        lengths = self.inputs.details
        columns = {task.name: SERIES.index(task.name) for task in self.tasks}
        return Windows(
            self._table[begin:end], columns, len(SERIES), lengths["seq_len"], lengths["pred_len"]
        )

    @cached_property
    def _found(self) -> Path:
        place = self.path if self.path is not None else self.root / self.file
        if place.is_file():
            return place
        raise DataError(
            f"The file of `{self.name}` should be a CSV with the columns date,{','.join(SERIES)} and a "
            f"row every {self.minutes} minutes. Found no file at `{place}`"
            f"{self._why_there if self.path is None else ' (`data.path`)'}. Get {self.file} from "
            f"ETDataset (github.com/zhouhaoyi/ETDataset) and put it there, or set data.path to the "
            f"file or data.root to its folder. Nothing is downloaded."
        )

    @property
    def _why_there(self) -> str:
        return (
            f" (`data.path` is not set, so `{self.file}` is looked for in `data.root`: "
            f"$MTLRUN_DATA/{self.name} if that variable is set, else data/{self.name})"
        )

    @cached_property
    def _sha256(self) -> str:
        return hashlib.sha256(self._found.read_bytes()).hexdigest()

    @cached_property
    def _rows(self) -> Rows:
        rows = read_rows(self._found, SERIES)
        self._check_dates(rows.dates)
        return rows

    @cached_property
    def _ranges(self) -> tuple[tuple[int, int], ...]:
        """First row and end of each split, by which windows are cut."""
        num_rows = len(self._rows.dates)
        if self.shares is None:
            ends = standard_borders(self.minutes)
            if num_rows < ends[-1]:
                raise DataError(
                    f"`{self._found}` should have at least {ends[-1]} rows for the standard borders "
                    f"(12, 4 and 4 months of 30 days). Found {num_rows}. Set data.split=[0.6,0.2,0.2] "
                    f"to split by shares of the rows instead."
                )
        else:
            ends = share_borders(num_rows, self.shares)
        seq_len, pred_len = self.inputs.details["seq_len"], self.inputs.details["pred_len"]
        begins = (0, ends[0] - seq_len, ends[1] - seq_len)
        for name, begin, end in zip(SPLITS, begins, ends, strict=True):
            if end - max(begin, 0) < seq_len + pred_len:
                raise DataError(
                    f"Split `{name}` of `{self._found}` should have at least {seq_len + pred_len} rows "
                    f"for one window (`seq_len` + `pred_len`). Found {end - max(begin, 0)} of "
                    f"{num_rows}. Set data.seq_len, data.pred_len or data.split, or use a longer file."
                )
        return tuple(zip(begins, ends, strict=True))

    @cached_property
    def _table(self) -> Tensor:
        """[N, C + M] float32: standardised series beside time marks."""
        values = self._rows.values
        train = values[: self._ranges[0][1]]
        for name, constant in zip(SERIES, np.ptp(train, axis=0) == 0, strict=True):
            if constant:
                raise DataError(
                    f"Series `{name}` of `{self._found}` should vary within the {len(train)} training "
                    f"rows, whose deviation it is divided by. Found the constant "
                    f"{train[0, SERIES.index(name)]}. Check the file or set data.split."
                )
        standardised = (values - train.mean(axis=0)) / train.std(axis=0)
        marks = _marks_of(self._rows.dates, self.time_marks)
        return torch.from_numpy(np.concatenate([standardised, marks], axis=1).astype(np.float32))

    def _check_dates(self, dates: np.ndarray) -> None:
        wrong = np.flatnonzero(np.diff(dates) != np.timedelta64(self.minutes, "m"))
        if wrong.size:
            before, after = (str(date).replace("T", " ") for date in dates[wrong[0] : wrong[0] + 2])
            raise DataError(
                f"The rows of `{self._found}` should be sorted and {self.minutes} minutes apart. Found "
                f"{after} in line {wrong[0] + 3} after {before}. Sort the file and fill its gaps, or "
                f"choose the dataset that fits it (data=ettm1 has a row every 15 minutes, data=etth1 "
                f"every 60)."
            )


@dataclass(frozen=True, eq=False)
class Windows:
    """Consecutive windows of a table, one starting at every row.

    Attributes:
        table: [N, C + M] series beside time marks.
        columns: Where the series of each task stands.
        num_series: C.
        seq_len: Rows that are observed.
        pred_len: L, rows that are predicted.
    """

    table: Tensor
    columns: dict[TaskName, int]
    num_series: int
    seq_len: int
    pred_len: int

    def __len__(self) -> int:
        return len(self.table) - self.seq_len - self.pred_len + 1

    def fetch(self, indices: Sequence[int], *, seed: int) -> Batch:
        """Windows as [B, seq_len + L, C + M], see `InputSpec`, and each task's next values [B, L].

        Args:
            indices: Of the windows' first rows.
            seed: Without effect: nothing is drawn.
        """
        rows = torch.as_tensor(indices)[:, None] + torch.arange(self.seq_len + self.pred_len)
        windows = self.table[rows]
        horizon = windows[:, self.seq_len :, : self.num_series]
        targets = {task: horizon[:, :, column].clone() for task, column in self.columns.items()}
        horizon.zero_()
        return Batch(windows, targets)


def standard_borders(minutes: int) -> tuple[int, int, int]:
    """Row numbers where training, validation and test end: 12, 4 and 4 months of 30 days."""
    rows_a_month = DAYS_A_MONTH * 24 * 60 // minutes
    ends = np.cumsum(MONTHS) * rows_a_month
    return int(ends[0]), int(ends[1]), int(ends[2])


def share_borders(num_rows: int, shares: Sequence[float]) -> tuple[int, int, int]:
    """The same by shares of the rows, rounded down (a hair's breadth of rounding error aside)."""
    ends = np.floor(np.cumsum(shares) * num_rows + 1e-6)
    return int(ends[0]), int(ends[1]), int(ends[2])


def _marks_of(dates: np.ndarray, kind: TimeMarks) -> np.ndarray:
    """[N, M] hour of day, day of week, of month and of year, each in [-0.5, 0.5]; minutes first with "t".

    The scaling is that of GluonTS's time features, which the papers' code uses.
    """
    days = dates.astype("datetime64[D]")
    months, years = dates.astype("datetime64[M]"), dates.astype("datetime64[Y]")
    minute = (dates - dates.astype("datetime64[h]")).astype("timedelta64[m]").astype(int)
    hour = (dates - days).astype("timedelta64[h]").astype(int)
    weekday = (days.astype(int) + 3) % 7  # the first of January 1970 was a Thursday; Monday is 0
    parts = [
        hour / 23,
        weekday / 6,
        (days - months.astype("datetime64[D]")).astype(int) / 30,
        (days - years.astype("datetime64[D]")).astype(int) / 365,
    ]
    if kind == "t":
        parts.insert(0, minute / 59)
    return np.stack(parts, axis=1) - 0.5


def _check_lengths(seq_len: int, label_len: int, pred_len: int) -> None:
    for name, value in (("seq_len", seq_len), ("pred_len", pred_len)):
        if value < 1:
            raise ValueError(
                f"`{name}` should be at least 1. Found `{name} = {value}`. Set data.{name}."
            )
    if not 0 <= label_len <= seq_len:
        raise ValueError(
            f"`label_len` should be between 0 and `seq_len` ({seq_len}): it counts the observed rows that "
            f"a decoder begins with. Found `label_len = {label_len}`. Set data.label_len."
        )


def _check_shares(split: Sequence[float]) -> None:
    if len(split) != len(SPLITS) or min(split) <= 0 or sum(split) > 1 + 1e-6:
        raise ValueError(
            f"`split` should be three positive shares of training, validation and test, of sum 1 at "
            f"most. Found `split = {list(split)}`. Set data.split=[0.6,0.2,0.2]."
        )


def _check_series(names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in SERIES]
    repeated = any(a == b for a, b in pairwise(sorted(names)))
    if unknown or repeated or not names:
        raise ValueError(
            f"`tasks` should name series out of {', '.join(SERIES)}, each once, one at least. "
            f"Found `tasks = {list(names)}`. Set data.tasks."
        )
