"""Runs the toy setup under torchrun and writes what it came to; a script, started by a test."""

import json
import sys
from pathlib import Path

import torch

from mtlrun.engine.pipeline import run
from mtlrun.methods.hps import HPS
from tests.toy import ToyBackbone, toy_setup


def main() -> None:
    """Arguments: the folder, then the method's name."""
    torch.set_num_threads(1)
    folder, method = Path(sys.argv[1]), sys.argv[2]
    setup = toy_setup(
        folder,
        method=METHODS[method](),
        make_backbone=lambda inputs: ToyBackbone(inputs, dropout=0.0, norm="layer"),
    )
    outcome = run(setup)
    if outcome.result["num_processes"] == 1 or torch.distributed.is_initialized() is False:
        (folder / "scores.json").write_text(json.dumps(outcome.result["scores"]))


METHODS = {"hps": HPS}

if __name__ == "__main__":
    main()
