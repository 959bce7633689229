"""Constructors that configuration files of tests name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from mtlrun.core.data import DataError, DataSource, InputSpec
from mtlrun.core.grouping import GroupingSolver
from mtlrun.core.method import Method
from mtlrun.core.weighting import LossWeighting


class Data(DataSource):
    tasks = ()
    inputs = InputSpec("vector", (5,))

    def __init__(self, *, size: int = 4, root: str | None = None, broken: bool = False) -> None:
        if broken:
            raise DataError("`data.csv` should have a column OT. Found none.")
        self.size, self.root = size, root

    def split(self, name: str) -> Any:
        raise NotImplementedError


class Backbone:
    def __init__(self, inputs: InputSpec, *, width: int = 8) -> None:
        if width < 1:
            raise ValueError(f"`width` should be at least 1. Found `width = {width}`.")
        self.inputs, self.width = inputs, width


class WideBackbone:
    def __init__(self, inputs: InputSpec, *, heads: int = 2) -> None:
        self.inputs, self.heads = inputs, heads


class Weighting(LossWeighting):
    def weights(self, losses: Any) -> Any:
        return losses


class Solver(GroupingSolver):
    def __init__(self, *, num_groups: int = 2) -> None:
        if num_groups < 1:
            raise ValueError(
                f"`num_groups` should be at least 1. Found `num_groups = {num_groups}`."
            )
        self.num_groups = num_groups

    def solve(self, affinity: Any, *, objective: Any) -> Any:
        raise NotImplementedError

    def select(self, tasks: Any, groups: Any, scores: Any) -> Any:
        raise NotImplementedError


class Shape:
    def __init__(self, *, sides: int) -> None:
        self.sides = sides


class Square(Shape):
    def __init__(self) -> None:
        super().__init__(sides=4)


class FakeMethod(Method):
    def __init__(
        self,
        needed: float,
        *,
        kind: Literal["a", "b"] = "a",
        ratio: float = 0.5,
        names: Sequence[str] = (),
        pair: tuple[int, int] = (1, 2),
        table: Mapping[str, int] | None = None,
        file: Path | None = None,
        shape: Shape | None = None,
        anything: Any = None,
    ) -> None:
        self.settings = {
            "needed": needed,
            "kind": kind,
            "ratio": ratio,
            "names": names,
            "pair": pair,
            "table": table,
            "file": file,
            "shape": shape,
            "anything": anything,
        }

    def train(self, lab: Any, plan: Any) -> Any:
        raise NotImplementedError
