"""Variational single-task learning: the baseline of VMTL without other tasks."""

from typing import Literal

from mtlrun.core.grouping import Group, Plan
from mtlrun.core.method import Lab
from mtlrun.methods._variational import SimplePriors
from mtlrun.networks.vmtl import Pairing
from mtlrun.updates.variational import DIVERGENCES, Divergences


class VSTL(SimplePriors):
    """Every task alone, with random representations and classifier and priors N(0, I).

    Source: Shen et al., Variational Multi-Task Learning with Gumbel-Softmax Priors, NeurIPS 2021,
    supplement A.2 (VSTL).
    Differs: as `mtlrun.methods.vmtl.VMTL`.

    Args:
        z_net: As of `MixedPriors`, as are the following.
        latent: Width of representations.
        hidden: Width of hidden layers.
        dropout: Of inputs.
        bayesian_z: Whether representations are random.
        bayesian_w: Whether classifiers are.
        num_z: Draws of representations.
        num_w: Draws of classifiers.
        pairing: How the two go together.
        num_test: Draws in evaluation; 0 for means.
        divergences: Their weights.
    """

    def __init__(
        self,
        *,
        z_net: Literal["mlp", "linear"] = "mlp",
        latent: int = 512,
        hidden: int = 512,
        dropout: float = 0.7,
        bayesian_z: bool = True,
        bayesian_w: bool = True,
        num_z: int = 10,
        num_w: int = 10,
        pairing: Pairing = "paired",
        num_test: int = 0,
        divergences: Divergences = DIVERGENCES,
    ) -> None:
        super().__init__(
            z_net=z_net, latent=latent, hidden=hidden, dropout=dropout, bayesian_z=bayesian_z,
            bayesian_w=bayesian_w, num_z=num_z, num_w=num_w, pairing=pairing, num_test=num_test,
            divergences=divergences,
        )  # fmt: skip

    def collect(self, lab: Lab) -> Plan:
        """One group a task."""
        super().collect(lab)
        return Plan(tuple(Group.of([task.name]) for task in lab.tasks))
