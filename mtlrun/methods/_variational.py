"""What the variational methods have in common."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from mtlrun.core.batch import TaskName
from mtlrun.core.data import ClassAligned
from mtlrun.core.grouping import Group, Plan
from mtlrun.core.method import Fitted, Lab
from mtlrun.methods._groups import GroupMethod
from mtlrun.networks.class_bank import ClassBank
from mtlrun.networks.vmtl import VMTL
from mtlrun.updates.variational import Variational


class VariationalMethod(GroupMethod):
    """Trains every group of the plan, by default one of all tasks, as a `VMTL` network.

    Attributes:
        network: Settings of `VMTL`.
        rule: Settings of `Variational`.
    """

    takes_weighting: ClassVar[bool] = False
    network: Mapping[str, Any]
    rule: Mapping[str, Any]

    def collect(self, lab: Lab) -> Plan:
        """Looks at the data first.

        Raises:
            ValueError: If its tasks have no classes in common.
        """
        _aligned(lab)
        return super().collect(lab)

    def train(self, lab: Lab, plan: Plan) -> dict[Group, Fitted]:
        """Phase 2: every group."""
        return {group: self._fit(lab, group.tasks) for group in plan.groups}

    def _fit(self, lab: Lab, names: Sequence[TaskName]) -> Fitted:
        tasks = [task for task in lab.tasks if task.name in set(names)]
        bank = None
        if self.network.get("prior") != "normal" or self.network.get("classifier") == "amortized":
            bank = ClassBank.of(_aligned(lab), [task.name for task in tasks])
        width = lab.data.inputs.shape[0]
        model = VMTL(width, tasks, bank, seed=lab.seed, **self.network)
        return lab.fit(Variational(**self.rule), model, [t.name for t in tasks], phase="train")


def _aligned(lab: Lab) -> ClassAligned:
    data = lab.data
    if not isinstance(data, ClassAligned):
        raise ValueError(
            f"Variational multi-task learning should have classification tasks with inputs of their "
            f"own and classes in common. Found data of {type(data).__name__}. Set "
            f"data=multi_domain_toy, office_caltech, office_home, imageclef or domainnet."
        )
    return data
