"""Variational multi-task learning with Gumbel-softmax priors."""

from typing import ClassVar, Literal

from mtlrun.methods._variational import VariationalMethod
from mtlrun.networks.vmtl import ClassifierName, Pairing, PriorForm
from mtlrun.updates.variational import (
    DIVERGENCES,
    TEMPERATURE,
    Divergences,
    StepOrder,
    Temperature,
)


class VMTLMethod(VariationalMethod):
    """Priors of a task's representation and classifier are made of the other tasks' posteriors.

    Source: Shen et al., Variational Multi-Task Learning with Gumbel-Softmax Priors, NeurIPS 2021
    (VMTL), supplement A.1 and B.1.
    Differs: weights of divergences, draws in pairs, and the number of steps a batch are the released
    program's, where the bound has 1, L M draws and one; see `mtlrun.networks.vmtl.VMTL` and
    `mtlrun.updates.variational.Variational`. `z_net=linear per_task_optimizers=true` is the
    released program's network and optimizers.

    Args:
        prior: Weights of the other tasks: "gumbel", "learnable", "mean"; "normal" for N(0, I).
        prior_form: As in `VMTL`, as are the following.
        z_net: The network of representations.
        latent: Width of representations.
        hidden: Width of hidden layers.
        dropout: Of inputs.
        bayesian_z: Whether representations are random.
        bayesian_w: Whether classifiers are.
        shared_mixing: Whether the two have the same weights of the others.
        detach_prior: Whether priors are constants.
        num_z: Draws of representations.
        num_w: Draws of classifiers.
        pairing: How the two go together.
        num_test: Draws in evaluation; 0 for means.
        divergences: Their weights.
        temperature: Of the Gumbel softmax.
        order: "per_task" for a step by each task in turn, or "joint".
        per_task_optimizers: Whether each task has its own.
    """

    classifier: ClassVar[ClassifierName] = "own"

    def __init__(
        self,
        *,
        prior: Literal["gumbel", "learnable", "mean", "normal"] = "gumbel",
        prior_form: PriorForm = "combination",
        z_net: Literal["mlp", "linear"] = "mlp",
        latent: int = 512,
        hidden: int = 512,
        dropout: float = 0.7,
        bayesian_z: bool = True,
        bayesian_w: bool = True,
        shared_mixing: bool = False,
        detach_prior: bool = True,
        num_z: int = 10,
        num_w: int = 10,
        pairing: Pairing = "paired",
        num_test: int = 0,
        divergences: Divergences = DIVERGENCES,
        temperature: Temperature = TEMPERATURE,
        order: StepOrder = "per_task",
        per_task_optimizers: bool = False,
    ) -> None:
        self.network = {
            "prior": prior, "prior_form": prior_form, "z_net": z_net, "latent": latent,
            "hidden": hidden, "dropout": dropout, "bayesian_z": bayesian_z,
            "bayesian_w": bayesian_w, "shared_mixing": shared_mixing,
            "detach_prior": detach_prior, "num_z": num_z, "num_w": num_w, "pairing": pairing,
            "num_test": num_test, "classifier": self.classifier,
        }  # fmt: skip
        self.rule = {
            "divergences": divergences, "temperature": temperature, "order": order,
            "per_task_optimizers": per_task_optimizers,
        }  # fmt: skip
