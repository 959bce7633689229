"""Runs on files in the layouts of the dense datasets and of CelebA, as a user starts them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
DATA = ("nyuv2", "cityscapes", "taskonomy", "celeba")


def _mtlrun(folder: Path, *words: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "mtlrun", *words],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def _result(folder: Path) -> dict[str, Any]:
    (path,) = folder.glob("outputs/*/*/*/*/result.json")
    result: dict[str, Any] = json.loads(path.read_text())
    return result


@pytest.fixture(scope="module")
def miniatures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("miniatures")
    for name in DATA:
        _mtlrun(folder, "data", name, "--miniature", f"mini/{name}")
    return folder


def test_the_signature_command_prints_and_stores_what_it_learned(
    miniatures: Path, tmp_path: Path
) -> None:
    root = miniatures / "mini" / "nyuv2"
    words = ["method=dsmtl_al", "data=nyuv2", f"data.root={root}", "trainer=smoke"]
    out, err = _mtlrun(tmp_path, *words)
    assert "backbone deeplab_resnet50" in err
    result = _result(tmp_path)
    names = ["segmentation", "depth", "normals"]
    settings = result["plan"]["settings"]
    (trained,) = [t["learned"] for t in result["trainings"] if t["phase"] == "train"]
    assert sum(settings["weights"].values()) == pytest.approx(1)
    assert settings["branch_points"] == trained["branch_points"]
    for kind in (settings["branch_points"], settings["weights"], trained["alpha"]):
        assert list(kind) == names
    lines = out.splitlines()
    for begin in ("branch points: segmentation ", "weights: segmentation ", "alpha: segmentation "):
        assert any(line.startswith(begin) for line in lines), out
    for metric in ("miou", "pixel_error", "abs_error", "rel_error", "median_angle"):
        assert metric in out


@pytest.mark.parametrize("method", ["dsmtl_jl", "dsmtl_il", "hps"])
@pytest.mark.parametrize("data", DATA)
def test_every_dataset_ends_with_a_table(
    miniatures: Path, tmp_path: Path, data: str, method: str
) -> None:
    small = "celeba_resnet" if data == "celeba" else "resnet_small"
    root = miniatures / "mini" / data
    words = [f"data={data}", f"data.root={root}", f"backbone={small}", "trainer=smoke"]
    if method == "dsmtl_il":
        _mtlrun(tmp_path, "method=single_task", "folder=alone", *words)
    out, err = _mtlrun(tmp_path, f"method={method}", *words)
    result = _result(tmp_path)
    names = [task["name"] for task in result["tasks"]]
    assert all(name in out for name in names)
    if method == "dsmtl_il":
        assert f"collect {names[0]}: reused from the store" in err
        assert set(result["single_task"]) == set(names)
        assert "delta_i" in out
    if method != "hps":
        (learned,) = [t["learned"] for t in result["trainings"] if len(t["tasks"]) > 1]
        assert set(learned["alpha"]) == set(names)
        assert "alpha: " in out


@pytest.mark.parametrize("data", ["celeba", "nyuv2"])
def test_dmtg_ends_with_the_groups_in_use_and_figures_of_them(
    miniatures: Path, tmp_path: Path, data: str
) -> None:
    small = "celeba_resnet" if data == "celeba" else "resnet_small"
    root = miniatures / "mini" / data
    words = [f"data={data}", f"data.root={root}", f"backbone={small}", "trainer=smoke"]
    out, err = _mtlrun(tmp_path, "method=dmtg", "trainer.steps_per_epoch=4", *words)
    result = _result(tmp_path)
    names = [task["name"] for task in result["tasks"]]
    groups = [group["tasks"] for group in result["plan"]["groups"]]
    assert len(groups) <= 3
    assert sorted(name for group in groups for name in group) == sorted(names)
    (whole,) = [t for t in result["trainings"] if t["phase"] == "collect"]
    assert all(len(set(row)) > 1 for row in whole["learned"]["logits"].values())
    assert result["scores"]["test"] == whole["scores"]["test"]
    assert f"Pruned: {len(groups)} of 3 groups are left" in err
    assert "group 1: " in out
    (figures,) = tmp_path.glob("outputs/*/*/*/*/figures")
    assert {"assignments.png", "assignment_traces.png"} <= {path.name for path in figures.iterdir()}
