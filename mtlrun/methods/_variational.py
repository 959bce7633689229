"""What the variational methods have in common."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from mtlrun.core.batch import TaskName
from mtlrun.core.data import ClassAligned
from mtlrun.core.grouping import Group, Plan
from mtlrun.core.method import Fitted, Lab
from mtlrun.methods._groups import GroupMethod
from mtlrun.methods._idle_settings import idle_settings
from mtlrun.networks._vmtl_check import check_draws, check_sizes
from mtlrun.networks.class_bank import ClassBank
from mtlrun.networks.vmtl import VMTL, ClassifierName, Pairing, PriorForm
from mtlrun.updates.variational import (
    DIVERGENCES,
    TEMPERATURE,
    Divergences,
    StepOrder,
    Temperature,
    Variational,
)

DRAWS = ("num_z", "num_w", "num_test", "pairing")


class VariationalMethod(GroupMethod):
    """Trains every group of the plan, by default one of all tasks, as a `VMTL` network.

    Args:
        network: Settings of `VMTL`.
        rule: Settings of `Variational`.

    Raises:
        ValueError: If a number is out of range, or settings do not fit each other.
    """

    takes_weighting: ClassVar[bool] = False

    def __init__(self, network: Mapping[str, Any], rule: Mapping[str, Any]) -> None:
        self.network, self.rule = network, rule
        check_sizes(**{name: network[name] for name in ("latent", "hidden", "dropout")})
        if draws := {name: network[name] for name in DRAWS if name in network}:
            check_draws(**draws)
        Variational(**rule)  # refuses what does not fit

    def collect(self, lab: Lab) -> Plan:
        """Looks at the data first.

        Raises:
            ValueError: If its tasks have no classes in common.
        """
        _aligned(lab)
        return super().collect(lab)

    def train(self, lab: Lab, plan: Plan) -> dict[Group, Fitted]:
        """Phase 2: every group; settings without effect are named first."""
        for name, why in idle_settings(self.network, self.rule):
            lab.say(f"Warning: `method.{name}` has no effect {why}.")
        return {group: self._fit(lab, group.tasks) for group in plan.groups}

    def _fit(self, lab: Lab, names: Sequence[TaskName]) -> Fitted:
        tasks = [task for task in lab.tasks if task.name in set(names)]
        bank = None
        if self.network.get("prior") != "normal" or self.network.get("classifier") == "amortized":
            bank = ClassBank.of(_aligned(lab), [task.name for task in tasks])
        width = lab.data.inputs.shape[0]
        model = VMTL(width, tasks, bank, seed=lab.seed, **self.network)
        return lab.fit(Variational(**self.rule), model, [t.name for t in tasks], phase="train")


class MixedPriors(VariationalMethod):
    """Priors of representations and classifiers are made of the other tasks' posteriors.

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
        network = {
            "prior": prior, "prior_form": prior_form, "z_net": z_net, "latent": latent,
            "hidden": hidden, "dropout": dropout, "bayesian_z": bayesian_z,
            "bayesian_w": bayesian_w, "shared_mixing": shared_mixing,
            "detach_prior": detach_prior, "num_z": num_z, "num_w": num_w, "pairing": pairing,
            "num_test": num_test, "classifier": self.classifier,
        }  # fmt: skip
        rule = {
            "divergences": divergences, "temperature": temperature, "order": order,
            "per_task_optimizers": per_task_optimizers,
        }  # fmt: skip
        super().__init__(network, rule)


class SimplePriors(VariationalMethod):
    """All priors are N(0, I).

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
        network = {
            "prior": "normal", "z_net": z_net, "latent": latent, "hidden": hidden,
            "dropout": dropout, "bayesian_z": bayesian_z, "bayesian_w": bayesian_w,
            "num_z": num_z, "num_w": num_w, "pairing": pairing, "num_test": num_test,
        }  # fmt: skip
        rule = {
            "divergences": divergences, "order": order, "per_task_optimizers": per_task_optimizers,
        }  # fmt: skip
        super().__init__(network, rule)


def _aligned(lab: Lab) -> ClassAligned:
    data = lab.data
    if not isinstance(data, ClassAligned):
        raise ValueError(
            f"Variational multi-task learning should have classification tasks with inputs of their "
            f"own and classes in common. Found data of {type(data).__name__}. Set "
            f"data=multi_domain_toy, office_caltech, office_home, imageclef or domainnet."
        )
    return data
