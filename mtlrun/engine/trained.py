"""The models of a finished run."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mtlrun.core.grouping import Group
from mtlrun.core.method import AffinityCollector, Fitted, UpdateRule
from mtlrun.core.model import MultiTaskModel
from mtlrun.engine.files import read_tensors
from mtlrun.engine.finished import fitted_of
from mtlrun.engine.given import read_plan
from mtlrun.engine.lab import Phase, Workbench
from mtlrun.engine.progress import Speaker
from mtlrun.engine.record import RunRecord
from mtlrun.engine.settings import RunSetup


def trained_models(setup: RunSetup) -> dict[Group, MultiTaskModel]:
    """The model of every group of a finished run, with its final weights, in evaluation mode.

        setup = mtlrun.config.setup_of(Path("outputs/multi_domain_toy/vmtl/default/seed0"))
        for group, model in trained_models(setup).items(): ...

    Args:
        setup: Of the run, in its folder; models are put on `trainer.device`.

    Raises:
        ValueError: If the run is not finished.
        DataError: If a file of the folder is damaged.
    """
    record = RunRecord(setup.folder)
    result = record.finished()
    if result is None:
        raise ValueError(
            f"{setup.folder} should hold a finished run. Found no result.json. Run `mtlrun` with its "
            f"settings to the end."
        )
    lab = _Builder(replace(setup, dry_run=False), result)
    plan = read_plan(setup.folder / "plan.json", lab.tasks)
    models = {}
    for group, fitted in setup.method.train(lab, plan).items():
        model = lab.models[fitted.key]
        model.load_state_dict(read_tensors(record.weights(group), lab.device))
        models[group] = model.eval()
    return models


class _Builder(Workbench):
    """A lab that keeps the models which a method asks it to train, and trains none."""

    def __init__(self, setup: RunSetup, result: dict[str, Any]) -> None:
        super().__init__(setup, Speaker(quiet=True))
        self.models: dict[str, MultiTaskModel] = {}
        self._numbers = itertools.count()
        self._told = {frozenset(own["tasks"]): own for own in result["trainings"]}

    def fit(
        self,
        rule: UpdateRule,
        model: MultiTaskModel,
        tasks: Sequence[str],
        *,
        phase: Phase,
        observers: Sequence[AffinityCollector] = (),
        after: Sequence[str] = (),
        epochs: int | None = None,
    ) -> Fitted:
        """Moves the model to the device; tells what the run's result tells of its tasks."""
        key = str(next(self._numbers))
        self.models[key] = model.to(self.device)
        told = self._told[frozenset(tasks)] | {"tasks": tasks}
        return fitted_of(told, key=key, weights=Path(), reused=True)

    def save_affinity(self, affinity: Any) -> None:
        """The run's folder has it."""
