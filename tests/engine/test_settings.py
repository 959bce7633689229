"""What a trainer and a schedule refuse."""

import pytest

from mtlrun.engine.schedules import StepDecay
from mtlrun.engine.settings import TrainerSettings


def test_everything_refused_is_told_at_once() -> None:
    with pytest.raises(ValueError, match="epochs") as caught:
        TrainerSettings(epochs=0, batch_size=-1, patience=0, num_workers=-1, clip_norm=0.0)
    for name in ("epochs", "batch_size", "patience", "num_workers", "clip_norm"):
        assert f"Found `{name} = " in str(caught.value)


@pytest.mark.parametrize("norm", [0.0, -1.0, float("nan")])
def test_a_limit_that_would_stop_or_turn_the_steps_is_refused(norm: float) -> None:
    with pytest.raises(ValueError, match="should be above 0"):
        TrainerSettings(clip_norm=norm)


def test_a_decay_every_0_epochs_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        StepDecay(every=0)
