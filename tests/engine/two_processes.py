"""Runs the toy setup, alone or under torchrun; a script, started by a test."""

import sys
from pathlib import Path

import torch

from mtlrun.affinities.lookahead import LookaheadCollector
from mtlrun.affinities.tag import TAGCollector
from mtlrun.engine.pipeline import run
from mtlrun.methods.dmtg import DMTG
from mtlrun.methods.hps import HPS
from mtlrun.methods.lookahead import Lookahead
from mtlrun.methods.selective import SelectiveUpdates
from mtlrun.methods.tag import TAG
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
    run(setup)


METHODS = {
    "hps": HPS,
    "tag": lambda: TAG(TAGCollector()),
    "lookahead": lambda: Lookahead(LookaheadCollector()),
    "selective": lambda: SelectiveUpdates(warmup=4, beta=0.2),
    "selective_code": lambda: SelectiveUpdates(variant="code", warmup=4, beta=0.2),
    "dmtg": lambda: DMTG(num_shared_stages=1, entropy_weight=1.2, finetune_epochs=1),
    "dmtg_by_example": lambda: DMTG(sample="batch_gumbel"),
    "lookahead_first_order": lambda: Lookahead(LookaheadCollector(gains="first_order")),
}

if __name__ == "__main__":
    main()
