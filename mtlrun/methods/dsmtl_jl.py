"""Deep safe multi-task learning, all parameters trained jointly."""

from mtlrun.core.grouping import Group, Plan
from mtlrun.core.method import Fitted, Lab
from mtlrun.methods._dsmtl import make_dsmtl
from mtlrun.methods._groups import GroupMethod
from mtlrun.networks.gate import GateKind
from mtlrun.updates.joint import Joint


class DSMTLJL(GroupMethod):
    """Trains public encoder, private encoders, gates and heads together.

    Source: Deep Safe Multi-Task Learning, Section 4.3 (Eq. 4), "DSMTL-JL".
    Differs: losses are combined by `weighting=`. The recipes of the paper's data (nyuv2, cityscapes,
    pascal_context, taskonomy) average them, as the paper; on other data they are summed.
    Public and private encoders begin at the same weights, as pretrained ones do, so that the extremes
    are the single-task and the hard sharing models bit for bit; the paper does not tell how they
    begin. While they are alike alpha has no gradient but for rounding and dropout: the encoders'
    own gradients, of which the public one has all tasks', part them first.

    Args:
        gate: How alpha is parametrised: "clamp", "sigmoid", "softmax2" or "hard".
        alpha_init: Where the gates begin.
        gate_position: The module after which the encoders are mixed, from 1; None for the last.
        learnable_gate: Whether the gates are trained.
    """

    def __init__(
        self,
        *,
        gate: GateKind = "clamp",
        alpha_init: float = 0.5,
        gate_position: int | None = None,
        learnable_gate: bool = True,
    ) -> None:
        self.gate: GateKind = gate
        self.alpha_init, self.gate_position = alpha_init, gate_position
        self.learnable_gate = learnable_gate

    def train(self, lab: Lab, plan: Plan) -> dict[Group, Fitted]:
        """Phase 2: every group of the plan, by default one of all tasks."""
        return {group: self._fit(lab, group) for group in plan.groups}

    def _fit(self, lab: Lab, group: Group) -> Fitted:
        model = make_dsmtl(
            lab,
            group.tasks,
            gate=self.gate,
            alpha_init=self.alpha_init,
            gate_position=self.gate_position,
            learnable_gate=self.learnable_gate,
        )
        return lab.fit(Joint(lab.make_weighting()), model, group.tasks, phase="train")
