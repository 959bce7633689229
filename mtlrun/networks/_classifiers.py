"""Linear classifiers of T tasks whose weights are random variables."""

from collections.abc import Sequence

from torch import Tensor, nn

from mtlrun.core.batch import TaskName
from mtlrun.networks._gaussian import Gaussian, concatenated
from mtlrun.networks._gaussian_linear import GaussianLinear, weights_of
from mtlrun.networks._latent import GaussianNetwork


class OwnClassifiers(nn.Module):
    """Every task has the means and variances of its classifier as parameters; there is no bias.

    Source: VMTL, Section B.1: a column of as many numbers as the representation for every class.

    Args:
        tasks: T names.
        latent: D, of the representation.
        num_classes: C.
        bayesian: Whether weights have a variance.
    """

    def __init__(
        self, tasks: Sequence[TaskName], latent: int, num_classes: int, *, bayesian: bool
    ) -> None:
        super().__init__()
        self.own = nn.ModuleDict(
            {
                task: GaussianLinear(latent, num_classes, bayesian=bayesian, bias=False)
                for task in tasks
            }
        )

    def forward(self, tasks: Sequence[TaskName]) -> Gaussian:
        """[K, C, D] of some tasks."""
        layers = []
        for task in tasks:
            layer = self.own[task]
            assert isinstance(layer, GaussianLinear)
            layers.append(layer)
        return weights_of(layers)

    def task_parameters(self, task: TaskName) -> list[nn.Parameter]:
        """Of one task."""
        return list(self.own[task].parameters())


class AmortizedClassifiers(nn.Module):
    """A network shared by all tasks makes a class's weights from its mean training input.

    Source: VMTL-AC, Table B.2; a second network of the same layers makes the bias, as in the
    released program.
    Differs: that program overwrites the mean of a bias by its variance; here they are two.

    Args:
        num_inputs: Of the centres.
        latent: D, of the representation.
        hidden: Width of the layers.
        dropout: Of the centres.
        bayesian: Whether weights have a variance.
    """

    def __init__(
        self, num_inputs: int, latent: int, *, hidden: int, dropout: float, bayesian: bool
    ) -> None:
        super().__init__()
        self.weight, self.bias = (
            GaussianNetwork(
                num_inputs, size, net="mlp", hidden=hidden, dropout=dropout, bayesian=bayesian
            )
            for size in (latent, 1)
        )

    def forward(self, centres: Tensor) -> Gaussian:
        """[K, C, D + 1], the bias last, from centres [K, C, E]."""
        return concatenated([self.weight(centres), self.bias(centres)], dim=-1)
