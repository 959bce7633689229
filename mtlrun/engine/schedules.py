"""Learning-rate schedules: a factor of the base rate for every step; they keep no state."""

import math
from abc import abstractmethod
from collections.abc import Sequence

from mtlrun.core.identity import Identified


class Schedule(Identified):
    """A factor of the optimizer's learning rate, set once a batch."""

    @abstractmethod
    def factor(self, step: int, *, num_steps: int, steps_per_epoch: int) -> float:
        """What the base rate is multiplied by.

        Args:
            step: Batches trained on before this one.
            num_steps: Batches of the whole training.
            steps_per_epoch: Batches of an epoch.
        """


class Constant(Schedule):
    """The base rate throughout."""

    def factor(self, step: int, *, num_steps: int, steps_per_epoch: int) -> float:
        """Always 1."""
        return 1.0


class StepDecay(Schedule):
    """The rate falls by a factor every so many epochs.

    Args:
        every: Epochs between two falls.
        decay: What the rate is multiplied by at each.
    """

    def __init__(self, *, every: int = 100, decay: float = 0.5) -> None:
        if every < 1:
            raise ValueError(
                f"`every` should be at least 1. Found `every = {every}`. Set scheduler.every."
            )
        self.every, self.decay = every, decay

    def factor(self, step: int, *, num_steps: int, steps_per_epoch: int) -> float:
        """`decay ** floor(epoch / every)`."""
        return self.decay ** (step // steps_per_epoch // self.every)


class Milestones(Schedule):
    """The rate falls by a factor at given epochs.

    Args:
        epochs: At which it falls.
        decay: What the rate is multiplied by at each.
    """

    def __init__(self, *, epochs: Sequence[int] = (), decay: float = 0.5) -> None:
        self.epochs, self.decay = tuple(epochs), decay

    def factor(self, step: int, *, num_steps: int, steps_per_epoch: int) -> float:
        """`decay ** (number of milestones reached)`."""
        return self.decay ** sum(step // steps_per_epoch >= epoch for epoch in self.epochs)


class Poly(Schedule):
    """The rate falls to 0 by a power of the share of steps left.

    Args:
        power: 1 for a line.
    """

    def __init__(self, *, power: float = 0.9) -> None:
        self.power = power

    def factor(self, step: int, *, num_steps: int, steps_per_epoch: int) -> float:
        """(1 - step / num_steps) ** power."""
        return float((1 - step / num_steps) ** self.power)


class Cosine(Schedule):
    """The rate rises along a line, then falls to 0 along half a cosine.

    Args:
        warmup: Share of the steps in which it rises.
    """

    def __init__(self, *, warmup: float = 0.0) -> None:
        if not 0 <= warmup < 1:
            raise ValueError(f"`warmup` should be a share in [0, 1). Found `warmup = {warmup}`.")
        self.warmup = warmup

    def factor(self, step: int, *, num_steps: int, steps_per_epoch: int) -> float:
        """(step + 1) / warmup steps, then (1 + cos(pi * progress)) / 2."""
        warmup = round(self.warmup * num_steps)
        if step < warmup:
            return (step + 1) / warmup
        return (1 + math.cos(math.pi * (step - warmup) / max(1, num_steps - warmup))) / 2
