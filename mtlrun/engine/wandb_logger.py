"""Weights & Biases."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from mtlrun.engine.tracker import Tracker


class WandbLogger(Tracker):
    """Sends numbers, figures and tables to Weights & Biases, or keeps them in the run's folder for later.

    Args:
        project: Of the runs.
        entity: User or team; None for the default one.
        mode: "offline" needs neither network nor account; `wandb sync` uploads later.
        group: Of runs that belong together; None for the experiment's name, else DATA/METHOD.
        tags: Of the run.
    """

    def __init__(
        self,
        *,
        project: str = "mtlrun",
        entity: str | None = None,
        mode: Literal["offline", "online"] = "offline",
        group: str | None = None,
        tags: Sequence[str] = (),
    ) -> None:
        self.project, self.entity, self.mode = project, entity, mode
        self.group, self.tags = group, tuple(tags)
        self._run: Any = None
        self._wandb: Any = None

    def on_start(self, config: Mapping[str, Any], folder: Path) -> None:
        """Begins a run without a banner and without capturing the terminal."""
        import wandb

        self._wandb = wandb
        folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=self.project,
            entity=self.entity,
            mode=self.mode,
            group=self.group,
            job_type=config.get("row"),
            tags=list(self.tags),
            name="/".join(folder.parts[-4:]),
            config=dict(config),
            dir=str(folder),
            settings=wandb.Settings(silent=True, console="off"),
        )
        self._run.define_metric("*", step_metric="step")

    def on_log(self, scalars: Mapping[str, float], step: int) -> None:
        """One row; curves are drawn over its column `step`."""
        self._run.log({**scalars, "step": step})

    def on_image(self, name: str, path: Path) -> None:
        """One media file."""
        self._run.log({name: self._wandb.Image(str(path))})

    def on_table(
        self, name: str, columns: Sequence[str], rows: Sequence[Sequence[str | float]]
    ) -> None:
        """One media table."""
        data = [list(row) for row in rows]
        self._run.log({name: self._wandb.Table(columns=list(columns), data=data)})

    def on_finish(self) -> None:
        """Waits until everything is written."""
        self._run.finish()
