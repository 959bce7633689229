"""TensorBoard."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtlrun.engine.tracker import Tracker


class TensorboardLogger(Tracker):
    """Writes TensorBoard event files under `tensorboard/` in the run's folder.

    Args:
        flush_seconds: Between two writes.
    """

    def __init__(self, *, flush_seconds: int = 30) -> None:
        self.flush_seconds = flush_seconds
        self._writer: Any = None

    def on_start(self, config: Mapping[str, Any], folder: Path) -> None:
        """Opens the event file and notes the configuration as a text."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder / "tensorboard"), flush_secs=self.flush_seconds)
        lines = [f"    {key}: {value}" for key, value in config.items()]  # indented: as it is
        self._writer.add_text("config", "\n".join(lines))

    def on_log(self, scalars: Mapping[str, float], step: int) -> None:
        """One point of every curve."""
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)

    def on_image(self, name: str, path: Path) -> None:
        """One image."""
        from matplotlib.image import imread

        self._writer.add_image(name, imread(path), dataformats="HWC")

    def on_finish(self) -> None:
        """Closes the event file."""
        self._writer.close()
