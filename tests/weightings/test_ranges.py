import re

import pytest

from mtlrun.core.weighting import Weighting
from mtlrun.weightings.bandit import Bandit
from mtlrun.weightings.cagrad import CAGrad
from mtlrun.weightings.dtp import DTP
from mtlrun.weightings.dwa import DWA
from mtlrun.weightings.famo import FAMO
from mtlrun.weightings.gradnorm import GradNorm
from mtlrun.weightings.linear_scale import LinearScale
from mtlrun.weightings.nash_mtl import NashMTL
from mtlrun.weightings.uw import UW

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (UW, "begin", NAN),
        (UW, "begin", INF),
        (GradNorm, "weight_lr", -1.0),
        (GradNorm, "weight_lr", NAN),
        (GradNorm, "alpha", -2.0),
        (GradNorm, "alpha", NAN),
        (FAMO, "weight_lr", -1.0),
        (FAMO, "weight_decay", -1e-3),
        (FAMO, "weight_decay", NAN),
        (Bandit, "rho", NAN),
        (Bandit, "rate", INF),
        (CAGrad, "c", NAN),
        (DTP, "gamma", NAN),
        (DWA, "temperature", NAN),
        (NashMTL, "max_norm", NAN),
        (LinearScale, "task_weights", {"a": NAN}),
    ],
)
def test_a_number_out_of_range_is_refused_at_once(
    kind: type[Weighting], name: str, value: object
) -> None:
    with pytest.raises(ValueError, match=re.escape(f"weighting.{name}")):
        kind(**{name: value})
