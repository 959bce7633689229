"""Variational multi-task learning with simple priors: the baseline of VMTL."""

from typing import Literal

from mtlrun.methods._variational import VariationalMethod
from mtlrun.networks.vmtl import Pairing
from mtlrun.updates.variational import DIVERGENCES, Divergences, StepOrder


class VBMTL(VariationalMethod):
    """Tasks share the network of random representations; all priors are N(0, I).

    Source: Shen et al., Variational Multi-Task Learning with Gumbel-Softmax Priors, NeurIPS 2021,
    supplement A.1 (VBMTL).
    Differs: as `VMTLMethod`.

    Args:
        z_net: As of `VMTLMethod`, as are the following.
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
        bayesian_z: bool = True,
        bayesian_w: bool = True,
        num_z: int = 10,
        num_w: int = 10,
        pairing: Pairing = "paired",
        num_test: int = 0,
        divergences: Divergences = DIVERGENCES,
        order: StepOrder = "per_task",
        per_task_optimizers: bool = False,
    ) -> None:
        self.network = {
            "prior": "normal", "z_net": z_net, "latent": latent, "hidden": hidden,
            "dropout": dropout, "bayesian_z": bayesian_z, "bayesian_w": bayesian_w,
            "num_z": num_z, "num_w": num_w, "pairing": pairing, "num_test": num_test,
        }  # fmt: skip
        self.rule = {
            "divergences": divergences, "order": order, "per_task_optimizers": per_task_optimizers,
        }  # fmt: skip
