"""How tasks that are trained jointly share a step: three protocols, by what a weighting needs to see."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from mtlrun.core.batch import TaskName
from mtlrun.core.identity import Identified

# Which gradients are compared: those of all shared parameters, of the last shared layer's, or of
# the features that the heads read.
GradOn = Literal["parameters", "last_layer", "features"]


class Weighting(Identified):
    """What the joint rule combines the tasks by; one of the three kinds below.

    Attributes:
        tasks: Names of the T tasks, in the order of the losses; set by `setup`.
        module: Learned weights, as parameters that the model's optimizer trains; None without any.
        generator: Draws random weights, on CPU; None without any.
        kept: Names of the attributes that an exact resume needs: tensors, plain values or None.
        is_constant: Whether the weights never change, so that they need no line in the log.
        wants_losses_after: Whether `losses_after` is to be called, which takes a forward pass.
    """

    tasks: tuple[TaskName, ...] = ()
    module: nn.Module | None = None
    generator: torch.Generator | None = None
    kept: ClassVar[tuple[str, ...]] = ()
    is_constant: ClassVar[bool] = False
    wants_losses_after: ClassVar[bool] = False

    def check(self, tasks: Sequence[TaskName]) -> None:
        """Called with the names of all tasks of the data, of which `setup` may be told some.

        Raises:
            ValueError: If a setting names another task.
        """

    def setup(self, tasks: Sequence[TaskName], device: torch.device) -> None:
        """Called once before training; a weighting with state of a size of T extends it."""
        self.tasks = tuple(tasks)

    def objective(self, losses: Tensor) -> Tensor | None:
        """What the parameters of `module` minimise, given the losses [T]; None without any."""
        return None

    def losses_after(self, before: Tensor, after: Tensor) -> None:
        """Told the losses [T] of the step's batch before and after it, with the same random draws."""

    def epoch_ended(self) -> None:
        """Called after the last step of every pass over the data."""

    def state_dict(self) -> dict[str, Any]:
        """All that an exact resume needs."""
        state: dict[str, Any] = {name: getattr(self, name) for name in self.kept}
        if self.module is not None:
            state["module"] = self.module.state_dict()
        if self.generator is not None:
            state["generator"] = self.generator.get_state()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        for name in self.kept:
            setattr(self, name, state[name])
        if self.module is not None:
            self.module.load_state_dict(state["module"])
        if self.generator is not None:
            self.generator.set_state(state["generator"].cpu())

    def positive(self, losses: Tensor) -> Tensor:
        """Losses [T] that a weighting takes the logarithm of or divides by, at least 1e-12.

        Raises:
            ValueError: If one is negative.
        """
        if bool((losses < 0).any()):
            task = self.tasks[int(losses.argmin())]
            raise ValueError(
                f"Losses should not be negative for {type(self).__name__}, which compares them by "
                f"ratio. Found {float(losses.min())} for task `{task}`. Choose another weighting."
            )
        return losses.clamp_min(1e-12)


class LossWeighting(Weighting):
    """Weighs the losses; one backward pass of their weighted sum moves everything."""

    @abstractmethod
    def weights(self, losses: Tensor) -> Tensor:
        """[T] weights, taken as constants, from the losses [T]: detached, means over the processes."""


class GramianWeighting(Weighting):
    """Weighs the gradients by their inner products.

    Of layers with few rows (`mtlrun.core.layers`) no gradient is formed; those of the other layers are
    held for all T tasks until they have been added up. One more backward pass follows only where
    gradients of less than all shared parameters are compared.

    The shared parameters get the weighted sum of the tasks' gradients; every task's own parameters
    get its gradient times `head_weights`.

    Args:
        grad_on: "parameters" compares gradients of all shared parameters, "last_layer" those of the
            last shared layer, "features" those of what the heads read, which takes no backward
            pass of the encoder but the last.
    """

    def __init__(self, *, grad_on: GradOn = "parameters") -> None:
        self.grad_on: GradOn = grad_on

    @abstractmethod
    def weights(self, gramian: Tensor, losses: Tensor) -> Tensor:
        """[T] weights of the gradients.

        Args:
            gramian: [T, T] float64 inner products of the gradients, finite, means over processes.
            losses: [T] detached, means over the processes.
        """

    def head_weights(self, weights: Tensor) -> Tensor:
        """[T] factors of the gradients of the tasks' own parameters: 1 unless the losses are weighed.

        Args:
            weights: [T] of the gradients of the shared parameters.
        """
        return torch.ones_like(weights)


class GradientAggregation(Weighting):
    """Combines the tasks' gradients element by element, from rows that come one after another.

    Args:
        grad_on: "parameters" for gradients of all shared parameters, "features" for those of what
            the heads read.
    """

    def __init__(self, *, grad_on: Literal["parameters", "features"] = "parameters") -> None:
        self.grad_on: Literal["parameters", "features"] = grad_on

    @abstractmethod
    def aggregate(self, rows: Iterable[Tensor]) -> Tensor:
        """[P] the gradient of the shared parameters.

        Args:
            rows: T rows [P], such as a matrix [T, P]; each may be overwritten by the next.
        """

    @abstractmethod
    def feature_weights(self, gradients: Tensor) -> Tensor:
        """[T, F] the factors of each task's gradients of the features.

        Args:
            gradients: [T, F] of the features, times their signs, summed over the examples.
        """


def own_generator() -> torch.Generator:
    """A generator on CPU that begins where torch's own was seeded last; it moves no other."""
    return torch.Generator().manual_seed(torch.initial_seed())
