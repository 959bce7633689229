"""What a run chooses by the split `val`, which is no honest judge where it is trained or tested on."""

from mtlrun.core.grouping import Plan
from mtlrun.engine.settings import RunSetup


def chosen_on_training_data(setup: RunSetup, plan: Plan | None) -> list[str]:
    """What is chosen by `val` although the data trains on it, in words; nothing where it is held out.

    Args:
        setup: Of the run.
        plan: Whose overlapping groups are chosen among; None before there is one.
    """
    return [] if setup.data.trained_on_val is None else _chosen_by_val(setup, plan)


def chosen_on_test_data(setup: RunSetup, plan: Plan | None) -> list[str]:
    """The same where the split `val` is the test examples."""
    return [] if setup.data.test_is_val is None else _chosen_by_val(setup, plan)


def warning_of(setup: RunSetup, chosen: list[str]) -> str:
    """The line about such choices."""
    data, what = setup.data, f"Warning: {' and '.join(chosen)} will be chosen on"
    if data.test_is_val is not None:
        return (
            f"{what} test data: the split `val` is the test examples ({data.test_is_val}), so that "
            f"the scores on them promise too much."
        )
    return (
        f"{what} training data: the split `val` is part of what is trained on, and says nothing about "
        f"new examples. Set {data.trained_on_val} to hold examples out."
    )


def _chosen_by_val(setup: RunSetup, plan: Plan | None) -> list[str]:
    trainer, found = setup.trainer, []
    if trainer.select == "best_val":
        found.append("the weights (trainer.select=best_val)")
    if trainer.patience is not None:
        found.append("the end of training (trainer.patience)")
    given = setup.plan is not None or (setup.affinity is not None and setup.method.takes_affinity)
    if setup.method.plans_by_val and not given:
        found.append("the plan")
    if plan is not None and setup.select_on == "val":
        groupings = plan.draws or (plan.groups,)
        served = [[task for group in own for task in group.serves] for own in groupings]
        twice = [
            task.name
            for task in setup.data.tasks
            if any(own.count(task.name) > 1 for own in served)
        ]
        found += [f"the group that serves {', '.join(twice)}"] if twice else []
    return found
