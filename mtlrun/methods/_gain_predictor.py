"""Gains of untrained groups, predicted from those of trained ones."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mtlrun.core.seeding import seeded
from mtlrun.networks.mtg_net import MTGNet

BLOCK = 4096  # groups predicted at a time
MOST_EPOCHS = 10_000


@dataclass(frozen=True)
class GainPredictor:
    """An MTG-Net that is trained anew on all measured groups whenever it predicts.

    Source: MTG-Net's released program: the mean absolute error over members, Adam on all groups at
    once, stopped when the training error has not fallen for `patience` epochs; predictions are means
    over the epochs with the least errors.
    Differs: an error is that of the weights that are kept, which in that program are a step older or
    newer, and the worst kept weights make way for better ones, where it overwrites others.

    Args:
        hidden: Width of the network.
        num_layers: Of the network.
        lr: Of Adam.
        weight_decay: Of Adam.
        patience: In epochs. That program's 5 often stops while errors are still larger than the gains
            (of 31 groups of 5 tasks: 0.06 to 0.48 beside gains of 0.07 for six seeds; 50: 0.005 to 0.015).
        num_snapshots: Epochs whose weights predict.

    Raises:
        ValueError: If a number is out of its range.
    """

    hidden: int = 128
    num_layers: int = 2
    lr: float = 7e-3
    weight_decay: float = 5e-4
    patience: int = 5
    num_snapshots: int = 2

    def __post_init__(self) -> None:
        counts = (self.hidden, self.num_layers, self.patience, self.num_snapshots)
        if min(counts) < 1 or not self.lr > 0 or not self.weight_decay >= 0:
            raise ValueError(
                f"Settings of MTG-Net should be 1 or more, `lr` above 0, `weight_decay` 0 or more. "
                f"Found {', '.join(f'`{k} = {v}`' for k, v in asdict(self).items())}. Set them under "
                f"method.predictor."
            )

    def identity(self) -> dict[str, Any]:
        """The plain values that stand for it."""
        return asdict(self)

    def predict(
        self, members: np.ndarray, gains: np.ndarray, wanted: np.ndarray, *, seed: int
    ) -> np.ndarray:
        """[G, T] gains of the tasks of wanted groups; 0 for other tasks.

        Args:
            members: [M, T] bool, measured groups.
            gains: [M, T] of their tasks; what stands at others is not read.
            wanted: [G, T] bool.
            seed: Of the initial weights.
        """
        network, snapshots = self._trained(
            torch.from_numpy(members), torch.from_numpy(gains).float(), seed
        )
        groups = torch.from_numpy(wanted)
        found = torch.zeros(groups.shape)
        with torch.no_grad():
            for weights in snapshots:
                network.load_state_dict(weights)
                for begin in range(0, len(groups), BLOCK):
                    part = groups[begin : begin + BLOCK]
                    found[begin : begin + BLOCK] += network(part) * part / len(snapshots)
        return found.double().numpy()

    def _trained(
        self, members: Tensor, gains: Tensor, seed: int
    ) -> tuple[MTGNet, list[Mapping[str, Any]]]:
        """The network, and the weights of the epochs with the least errors."""
        with seeded(seed, "mtg_net"):
            network = MTGNet(members.shape[1], hidden=self.hidden, num_layers=self.num_layers)
        adam = torch.optim.Adam(network.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        kept: list[tuple[float, Mapping[str, Any]]] = []
        least, waited = float("inf"), 0
        for _ in range(MOST_EPOCHS):
            loss = (network(members) - gains)[members].abs().mean()
            error = float(loss.detach())
            if len(kept) < self.num_snapshots or error < kept[-1][0]:
                kept.append((error, deepcopy(network.state_dict())))
                kept = sorted(kept, key=lambda own: own[0])[: self.num_snapshots]
            waited = 0 if error < least else waited + 1
            least = min(least, error)
            if waited == self.patience:
                break
            adam.zero_grad()
            loss.backward()
            adam.step()
        return network, [weights for _, weights in kept]
