"""What groups are worth, in either of two ways."""

import numpy as np

from mtlrun.solvers._served_parts import ServedParts
from mtlrun.solvers._whole_groups import WholeGroups

Family = WholeGroups | ServedParts


def total(family: Family, groups: np.ndarray) -> float:
    """The sum over tasks or groups that is to be most, of groups [m, N]."""
    if isinstance(family, ServedParts):
        return float(family.scores(groups).max(0).sum())
    return float(family.worth(groups, np.zeros(family.num_rows)).sum())
