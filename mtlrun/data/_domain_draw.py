"""Which examples of a domain are trained on, held out and tested."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mtlrun.core.data import DataError
from mtlrun.core.seeding import seed_for
from mtlrun.data._raycast import Array


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a domain's examples, by split."""

    train: Array
    val: Array
    test: Array


@dataclass(frozen=True)
class Draw:
    """Draws from the examples of a domain; a class's depend on no other class or domain.

    Attributes:
        seed: Of the draws.
        domain: Its name.
        classes: C names.
    """

    seed: int
    domain: str
    classes: Sequence[str]

    def share(self, labels: Array, share: float) -> Array:
        """The rows of a share of every class: max(1, round(share * n)) of a class's n examples.

        Args:
            labels: [N], 0 to C-1.
            share: Above 0, to 1.
        """
        parts = []
        for own in self._by_class("split", labels, np.arange(len(labels))):
            parts.append(own[: max(1, round(share * len(own)))])
        return np.sort(np.concatenate(parts))

    def train_and_test(self, labels: Array, share: float) -> tuple[Array, Array]:
        """The same, and the rest, which has an example of every class at least.

        Raises:
            DataError: If a class has one example only.
        """
        train = self.share(labels, share)
        rest = np.setdiff1d(np.arange(len(labels)), train)
        for c, name in enumerate(self.classes):
            if not (labels[rest] == c).any():
                number = int((labels == c).sum())
                raise DataError(
                    f"Every class should have examples to train on and to test. Found {number} of "
                    f"`{name}` in {self.domain}, and a share of {share:g} takes all of them. Lower "
                    f"data.train_share, complete the copy, or leave the domain out of data.domains."
                )
        return train, rest

    def hold_out(self, labels: Array, train: Array, number: int) -> tuple[Array, Array]:
        """What is left of training rows, and so many of every class that are held out.

        Raises:
            DataError: If none would be left of a class.
        """
        out = []
        parts = self._by_class("held_out", labels, train)
        for name, own in zip(self.classes, parts, strict=True):
            if len(own) <= number:
                raise DataError(
                    f"Every class should have more training examples than are held out of them, which "
                    f"is {number}. Found {len(own)} of `{name}` in {self.domain}. Lower "
                    f"data.val_per_class, or raise data.train_share."
                )
            out.append(own[:number])
        held = np.sort(np.concatenate(out))
        return np.setdiff1d(train, held), held

    def _by_class(self, purpose: str, labels: Array, rows: Array) -> list[Array]:
        """Some rows, those of each class in an order by chance."""
        found = []
        for c, name in enumerate(self.classes):
            rng = np.random.default_rng(seed_for(self.seed, f"{purpose}/{self.domain}/{name}"))
            found.append(rng.permutation(rows[labels[rows] == c]))
        return found
