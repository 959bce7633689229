"""The files that a run starts from: a plan, an affinity."""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from mtlrun.core.grouping import Affinity, Plan
from mtlrun.core.task import Task
from mtlrun.engine.settings import RunSetup


def read_plan(path: Path, tasks: Sequence[Task]) -> Plan:
    """The plan of a file.

    Raises:
        ValueError: If there is none, or it does not fit the tasks.
    """
    if not path.is_file():
        raise ValueError(f"`plan` should be a file. Found nothing at {path}.")
    try:
        plan = Plan.from_json(path.read_text(encoding="utf-8"))
        check_plan(plan, tasks)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return plan


def read_affinity(path: Path, tasks: tuple[str, ...]) -> Affinity:
    """The affinity of a file.

    Raises:
        ValueError: If there is none, or it is not of these tasks, in this order.
    """
    if not path.is_file():
        raise ValueError(f"`affinity` should be a file. Found nothing at {path}.")
    try:
        affinity = Affinity.from_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if affinity.tasks != tasks:
        raise ValueError(
            f"The affinity in {path} should be of the tasks {', '.join(tasks)}. "
            f"Found {', '.join(affinity.tasks)}."
        )
    return affinity


def check_plan(plan: Plan, tasks: Sequence[Task]) -> None:
    """Refuses a plan of unknown tasks, or one that leaves a task unserved.

    Raises:
        ValueError: If it is such a plan.
    """
    names = {task.name for task in tasks}
    groupings = plan.draws or (plan.groups,)
    planned = set(chain.from_iterable(group.tasks for group in plan.groups))
    if planned - names:
        raise ValueError(
            f"A plan's tasks should be among {', '.join(sorted(names))}. "
            f"Found {', '.join(sorted(planned - names))}."
        )
    for grouping in groupings:
        missing = names - set(chain.from_iterable(group.serves for group in grouping))
        if missing:
            raise ValueError(
                f"A plan should serve every task. Found no group that serves "
                f"{', '.join(sorted(missing))}."
            )


def given_contents(setup: RunSetup) -> dict[str, str | None]:
    """The contents, as hashes, of the files that the run starts from."""
    paths = {"plan": setup.plan, "affinity": setup.affinity}
    return {
        name: None if path is None else hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in paths.items()
    }


def check_given(setup: RunSetup, done: Mapping[str, Any]) -> None:
    """Refuses a finished run's result if the files that it started from had another content.

    Raises:
        ValueError: If they had.
    """
    for name, content in given_contents(setup).items():
        if done.get("given", {}).get(name) != content:
            raise ValueError(
                f"The folder {setup.folder} should be of a run with this {name}. Found one whose "
                f"{name} had another content. Set folder=ANOTHER, or delete it."
            )
