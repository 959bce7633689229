"""What a plan's settings say of tasks."""

from collections.abc import Mapping
from typing import Any

from mtlrun.core.batch import TaskName
from mtlrun.core.grouping import Group, Plan


def by_task(plan: Plan, name: str, group: Group, kind: type, *, method: str) -> dict[TaskName, Any]:
    """What a plan says of every task of a group.

    Args:
        plan: Perhaps edited by a person.
        name: Of the setting, a mapping by task.
        group: One of the plan's.
        kind: Of the values: int or float.
        method: Whose plan it should be, for the message.

    Raises:
        ValueError: If it does not.
    """
    found = plan.settings.get(name)
    given = found if isinstance(found, Mapping) else {}
    missing = [task for task in group.tasks if not isinstance(given.get(task), (kind, int))]
    if missing:
        raise ValueError(
            f"A plan for `{method}` should hold `{name}` for every task. Found none for "
            f"{', '.join(missing)}. Add them under `settings`, or run without `plan=`."
        )
    return {task: kind(given[task]) for task in group.tasks}
