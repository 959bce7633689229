"""Runs the toy setup, alone or under torchrun; a script, started by a test."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mtlrun.affinities.lookahead import LookaheadCollector
from mtlrun.affinities.tag import TAGCollector
from mtlrun.core.batch import TaskName
from mtlrun.core.data import SplitName
from mtlrun.data._domain_splits import Labelled
from mtlrun.data.multi_domain_toy import MultiDomainToy
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
    own: dict[str, Any] = {}
    if method == "uneven":
        own = {"data": Uneven(num_domains=3), "trainer": {"eval_batch_size": 7}}
    setup = toy_setup(
        folder,
        method=METHODS[method](),
        make_backbone=lambda inputs: ToyBackbone(inputs, dropout=0.0, norm="layer"),
        **own,
    )
    run(setup)


class Uneven(MultiDomainToy):
    """Domains of which one has a few examples to evaluate on."""

    def examples(self, split: SplitName) -> Mapping[TaskName, Labelled]:
        found = dict(super().examples(split))
        if split != "train":
            inputs, classes = found["domain_1"]
            found["domain_1"] = inputs[:10], classes[:10]
        return found


METHODS = {
    "hps": HPS,
    "uneven": HPS,
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
