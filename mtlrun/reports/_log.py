"""Reads a run's log of numbers."""

import json
from pathlib import Path
from typing import Any

ORIGIN = ("training", "title", "phase", "step", "epoch")


def read_lines(metrics_jsonl: Path) -> list[dict[str, Any]]:
    """All lines of a metrics log, in its order; a last line that was cut off is left out.

    Raises:
        ValueError: If another line is not JSON.
    """
    texts = metrics_jsonl.read_text(encoding="utf-8").splitlines()
    lines = []
    for number, text in enumerate(texts, 1):
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError as error:
            if number == len(texts):
                break
            raise ValueError(
                f"Line {number} of `{metrics_jsonl}` should be JSON. Found: {error}."
            ) from error
    return lines
