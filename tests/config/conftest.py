"""A small folder of configuration files."""

from pathlib import Path
from textwrap import dedent

import pytest

FAKES = "tests.config.fakes"
TRAINER = "_target_: mtlrun.engine.settings.TrainerSettings"
FILES = {
    "config": """
        defaults:
          - _self_
          - data: a
          - backbone: narrow
          - weighting: plain
          - solver: x
          - optimizer: adam
          - scheduler: constant
          - trainer: default
          - logger: none
          - method: hps
          - recipe: null
          - experiment: null
        seed: 0
        phase: all
        plan: null
        affinity: null
        select_on: val
        dry_run: false
        outputs: out
        store: ${outputs}/store
        folder: null
        row: null
        setting: null
        miniature: false
    """,
    "data/a": f"{{_target_: {FAKES}.Data, size: 4, root: null}}",
    "data/b": f"{{_target_: {FAKES}.Data, size: 5, root: null}}",
    "data/broken": f"{{_target_: {FAKES}.Data, broken: true}}",
    "backbone/narrow": f"{{_target_: {FAKES}.Backbone, width: 8}}",
    "backbone/wide": f"{{_target_: {FAKES}.WideBackbone, heads: 2}}",
    "weighting/plain": f"{{_target_: {FAKES}.Weighting}}",
    "solver/x": f"{{_target_: {FAKES}.Solver, num_groups: 2}}",
    "solver/y": f"{{_target_: {FAKES}.Solver, num_groups: 3}}",
    "optimizer/adam": "{_target_: torch.optim.Adam, lr: 1.0e-3, fused: null}",
    "optimizer/sgd": "{_target_: torch.optim.SGD, lr: 1.0e-2, momentum: 0.9}",
    "scheduler/constant": "{_target_: mtlrun.engine.schedules.Constant}",
    "trainer/default": f"{{{TRAINER}, epochs: 10, batch_size: 32, log_every: 20}}",
    "trainer/smoke": f"{{{TRAINER}, epochs: 1, batch_size: 4, log_every: 1}}",
    "logger/none": "# No tracker.",
    "method/hps": f"{{_target_: {FAKES}.FakeMethod, needed: 1, kind: a}}",
    "method/other": f"""
        # Another method.
        defaults:
          - override /solver@_global_.solver: y
          - _self_
        _target_: {FAKES}.FakeMethod
        needed: 2
    """,
    "recipe/b": """
        # @package _global_
        # The recipe of b.
        defaults:
          - override /backbone: wide
          - override /optimizer: sgd
          - _self_
        backbone:
          heads: 7
        optimizer:
          lr: 0.5
        trainer:
          epochs: 77
        select_on: test
    """,
    "recipe/b_other": """
        # @package _global_
        # The recipe of b for the other method.
        trainer:
          epochs: 99
    """,
    "experiment/row": """
        # @package _global_
        # A row of a table.
        defaults:
          - override /data: b
          - override /optimizer: adam
          - _self_
        trainer:
          batch_size: 3
    """,
}


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """The folder."""
    folder = tmp_path / "conf"
    for name, text in FILES.items():
        file = folder / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text).strip() + "\n", encoding="utf-8")
    return folder
