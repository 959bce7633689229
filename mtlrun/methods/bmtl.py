"""Basic multi-task learning: the baseline of VMTL without random variables."""

from typing import Literal

from mtlrun.methods._variational import VariationalMethod
from mtlrun.updates.variational import StepOrder


class BMTL(VariationalMethod):
    """Tasks share the network of representations; representations and classifiers are points.

    Source: Shen et al., Variational Multi-Task Learning with Gumbel-Softmax Priors, NeurIPS 2021,
    tables of supplement C (BMTL).

    Args:
        z_net: As of `MixedPriors`, as are the following.
        latent: Width of representations.
        hidden: Width of hidden layers.
        dropout: Of inputs.
        order: Of steps.
        per_task_optimizers: Whether each task has its own.
    """

    def __init__(
        self,
        *,
        z_net: Literal["mlp", "linear"] = "mlp",
        latent: int = 512,
        hidden: int = 512,
        dropout: float = 0.7,
        order: StepOrder = "per_task",
        per_task_optimizers: bool = False,
    ) -> None:
        network = {
            "prior": "normal", "z_net": z_net, "latent": latent, "hidden": hidden,
            "dropout": dropout, "bayesian_z": False, "bayesian_w": False,
        }  # fmt: skip
        super().__init__(network, {"order": order, "per_task_optimizers": per_task_optimizers})
