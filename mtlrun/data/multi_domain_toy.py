"""Built-in vectors of the same classes in several domains: nothing to download."""

from collections.abc import Mapping

import numpy as np
import torch

from mtlrun.core.batch import TaskName
from mtlrun.core.data import SplitName
from mtlrun.core.seeding import seed_for
from mtlrun.data._domain_splits import Labelled
from mtlrun.data._domains import Domains
from mtlrun.data._raycast import Array


class MultiDomainToy(Domains):
    """Classes with means in common, which every domain turns and moves in its own way, and noise.

    A class's mean is drawn from a normal distribution of deviation `spread`. A domain turns all means
    by a rotation, at distance `shift` from none, and adds a vector of deviation `shift`; an example
    adds noise of deviation 1 to each of D numbers.

    Args:
        num_domains: T tasks, named domain_0, domain_1, ...
        num_classes: C.
        width: D.
        train_per_class: Training examples of every class and domain.
        val_per_class: Of the validation split, new ones.
        test_per_class: Of the test split.
        per_class: Examples of every class and task in a batch.
        spread: How far classes lie apart.
        shift: How far domains lie apart; 0 for domains that are alike.
        seed: Of all draws.

    Raises:
        ValueError: If a number is below 1, or a deviation negative.
    """

    def __init__(
        self,
        *,
        num_domains: int = 4,
        num_classes: int = 5,
        width: int = 48,
        train_per_class: int = 6,
        val_per_class: int = 20,
        test_per_class: int = 50,
        per_class: int = 4,
        spread: float = 0.4,
        shift: float = 0.3,
        seed: int = 0,
    ) -> None:
        for name, number in (
            ("num_domains", num_domains), ("width", width), ("train_per_class", train_per_class),
            ("val_per_class", val_per_class), ("test_per_class", test_per_class),
        ):  # fmt: skip
            _at_least(name, number, 1)
        _at_least("num_classes", num_classes, 2)
        _at_least("spread", spread, 0)
        _at_least("shift", shift, 0)
        names = [f"domain_{number}" for number in range(num_domains)]
        classes = [f"class_{number}" for number in range(num_classes)]
        super().__init__(names, classes, width=width, per_class=per_class)
        self._sizes = {"train": train_per_class, "val": val_per_class, "test": test_per_class}
        self.spread, self.shift, self.seed = spread, shift, seed

    def examples(self, split: SplitName) -> Mapping[TaskName, Labelled]:
        """As many of every class, the classes one after another."""
        found = {}
        for task in self.tasks:
            means = self._means(task.name)
            classes = np.repeat(np.arange(len(means)), self._sizes[split])
            noise = self._rng(f"{task.name}/{split}").normal(size=(len(classes), means.shape[1]))
            inputs = (means[classes] + noise).astype(np.float32)
            found[task.name] = torch.from_numpy(inputs), torch.from_numpy(classes)
        return found

    def _means(self, domain: TaskName) -> Array:
        """[C, D] the classes' means in a domain."""
        shape = len(self.classes), *self.inputs.shape
        rng = self._rng(domain)
        means = self._rng("classes").normal(size=shape) * self.spread
        turn = rng.normal(size=(shape[1], shape[1])) / np.sqrt(shape[1])
        rotation, triangle = np.linalg.qr(np.eye(shape[1]) + self.shift * turn)
        rotation = rotation * np.sign(np.diagonal(triangle))  # the one near the identity
        moved: Array = means @ rotation.T + self.shift * rng.normal(size=shape[1])
        return moved

    def _rng(self, purpose: str) -> np.random.Generator:
        return np.random.default_rng(seed_for(self.seed, f"multi_domain_toy/{purpose}"))


def _at_least(name: str, number: float, least: float) -> None:
    if not number >= least:
        raise ValueError(
            f"`{name}` should be at least {least}. Found `{name} = {number}`. Set data.{name}."
        )
