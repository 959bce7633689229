"""Runs that are tracked by Weights & Biases, really."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_runs import ENVIRONMENT

pytestmark = pytest.mark.slow
RUN = (
    "experiment=dsmtl/table2", "row=HPS", "miniature=true", "logger=wandb", "folder=run",
)  # fmt: skip


def _run(folder: Path, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    pytest.importorskip("wandb")
    free = {k: v for k, v in ENVIRONMENT.items() if not k.startswith("WANDB_")}
    return subprocess.run(
        [sys.executable, "-m", "mtlrun", *RUN, *words],
        cwd=folder, env=free | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_run_is_kept_offline_in_its_folder_with_its_group_and_media(tmp_path: Path) -> None:
    done = _run(tmp_path, "method=tag", "solver.num_groups=2", WANDB_MODE="offline")
    assert done.returncode == 0, done.stderr
    (kept,) = (tmp_path / "run").glob("wandb/offline-run-*/*.wandb")
    content = kept.read_bytes()
    for part in (b"dsmtl/table2", b"HPS", b"final/test/depth/abs_error"):
        assert part in content
    media = [path.name for path in (tmp_path / "run").glob("wandb/offline-run-*/files/media/*/*")]
    assert any(name.startswith("affinity") and name.endswith(".png") for name in media)
    (table,) = (tmp_path / "run").glob("wandb/offline-run-*/files/media/table/scores*.json")
    rows = json.loads(table.read_text())["data"]
    assert ["test", "depth"] in [row[:2] for row in rows]


def test_a_tracker_that_cannot_be_reached_does_not_end_the_run(tmp_path: Path) -> None:
    done = _run(
        tmp_path, "logger.mode=online", WANDB_BASE_URL="http://127.0.0.1:9",
        WANDB_CONFIG_DIR=str(tmp_path), HOME=str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "WandbLogger failed and is off for the rest of the run" in done.stderr
    assert (tmp_path / "run" / "result.json").is_file()
    assert os.listdir(tmp_path / "run" / "checkpoints")
