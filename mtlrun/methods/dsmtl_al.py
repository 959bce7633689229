"""Deep safe multi-task learning whose branch points and loss weights are searched."""

from mtlrun.core.grouping import Group, Plan
from mtlrun.core.method import Fitted, Lab
from mtlrun.methods._dsmtl import make_dsmtl
from mtlrun.methods._groups import GroupMethod
from mtlrun.methods._plan_settings import by_task
from mtlrun.networks.branch_search import BranchSearch
from mtlrun.networks.gate import GateKind
from mtlrun.updates.bilevel import Bilevel
from mtlrun.updates.joint import Joint
from mtlrun.weightings.fixed import Fixed


class DSMTLAL(GroupMethod):
    """Searches where each task leaves the public encoder and how its loss weighs, then trains that.

    Source: Deep Safe Multi-Task Learning, Section 6, "DSMTL-AL".
    Differs: unspecified there and decided here: the held-out share and the architecture's rate
    (those of the authors' earlier program), the search's length (trainer.collect_epochs), and
    that everything is initialised anew before phase 2. Phase 2's losses are weighed by the
    searched weights, of sum 1; there is no other `weighting=`. Public and private encoders begin at
    the same weights in both phases, as pretrained ones do: but for rounding and dropout, the first
    step of the search finds no gradient for the branch points, and that of phase 2 none for the
    gates. The search ends with its last step: `trainer.select` and `trainer.patience` are phase 2's
    alone.

    Args:
        gate: How alpha is parametrised: "clamp", "sigmoid", "softmax2" or "hard".
        alpha_init: Where the gates begin in phase 2.
        learnable_gate: Whether the gates are trained.
        learn_w: Whether the weights of the losses are searched; else each is 1 / T.
        held_out_share: Of the training examples, on which the search moves the architecture.
        architecture_lr: Of the search's Adam on the logits of branch points and weights.
        architecture_decay: Its weight decay.
        weight_lr: Of the search's Adam on the logits of the weights; None for `architecture_lr`. The
            mass moves to the task of the smallest held-out loss, the faster the larger it is.
    """

    takes_weighting = False

    def __init__(
        self,
        *,
        gate: GateKind = "clamp",
        alpha_init: float = 0.5,
        learnable_gate: bool = True,
        learn_w: bool = True,
        held_out_share: float = 0.2,
        architecture_lr: float = 1e-4,
        architecture_decay: float = 1e-5,
        weight_lr: float | None = None,
    ) -> None:
        self.gate: GateKind = gate
        self.alpha_init, self.learnable_gate = alpha_init, learnable_gate
        self.learn_w, self.held_out_share = learn_w, held_out_share
        self.architecture_lr, self.architecture_decay = architecture_lr, architecture_decay
        self.weight_lr = weight_lr

    def collect(self, lab: Lab) -> Plan:
        """Phase 1: the search; the plan's settings are `branch_points`, `branch_shares`, `weights`."""
        names = [task.name for task in lab.tasks]
        private = {name: lab.make_backbone() for name in names}
        model = BranchSearch(
            lab.make_backbone(), private, lab.tasks, seed=lab.seed, learn_w=self.learn_w
        )
        rule = Bilevel(
            held_out_share=self.held_out_share,
            architecture_lr=self.architecture_lr,
            architecture_decay=self.architecture_decay,
            weight_lr=self.weight_lr,
        )
        lab.say(
            f"Search: {model.shared_stage_passes} encoder modules run in a pass of all tasks; "
            f"{model.naive_stage_passes} if every branch began at the input."
        )
        fitted = lab.fit(rule, model, names, phase="collect")
        found = dict(fitted.learned or model.learned())  # a dry run has learned nothing
        lab.say(
            "Branch points: "
            + ", ".join(f"{name} {point}" for name, point in found["branch_points"].items())
            + f" of {model.num_positions}; weights: "
            + ", ".join(f"{name} {weight:.3f}" for name, weight in found["weights"].items())
        )
        return Plan((Group.of(names),), found)

    def train(self, lab: Lab, plan: Plan) -> dict[Group, Fitted]:
        """Phase 2: the branched network, from its initial weights on all training examples."""
        return {group: self._fit(lab, group, plan) for group in plan.groups}

    def _fit(self, lab: Lab, group: Group, plan: Plan) -> Fitted:
        points = by_task(plan, "branch_points", group, int, method="dsmtl_al")
        weights = by_task(plan, "weights", group, float, method="dsmtl_al")
        model = make_dsmtl(
            lab,
            group.tasks,
            branch_points=points,
            gate=self.gate,
            alpha_init=self.alpha_init,
            learnable_gate=self.learnable_gate,
        )
        rule = Joint(Fixed([weights[task.name] for task in model.tasks]))
        return lab.fit(rule, model, group.tasks, phase="train")
