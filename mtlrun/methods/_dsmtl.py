"""What the three DSMTL methods have in common."""

from collections.abc import Mapping, Sequence
from typing import Any

from mtlrun.core.batch import TaskName
from mtlrun.core.method import Lab
from mtlrun.networks.dsmtl import DSMTL


def make_dsmtl(
    lab: Lab,
    tasks: Sequence[TaskName],
    *,
    branch_points: Mapping[TaskName, int] | None = None,
    **settings: Any,
) -> DSMTL:
    """A fresh model whose encoders all begin as the one of single-task training and hard sharing.

    Args:
        lab: Makes the encoders.
        tasks: Names.
        branch_points: As in `DSMTL`.
        settings: Further arguments of `DSMTL`.
    """
    public = lab.make_backbone()
    own = [task for task in tasks if (branch_points or {}).get(task, 1) <= len(public.stages)]
    chosen = [task for task in lab.tasks if task.name in set(tasks)]
    return DSMTL(
        public,
        {task: lab.make_backbone() for task in own},
        chosen,
        seed=lab.seed,
        branch_points=branch_points,
        **settings,
    )
