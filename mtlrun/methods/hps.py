"""Hard parameter sharing: one encoder for all tasks."""

from mtlrun.methods._groups import GroupMethod


class HPS(GroupMethod):
    """Trains all tasks together, combined by the configured weighting.

    Source: Caruana, Multitask Learning, Machine Learning 28, 1997; "HPS", "MTL" or "GD" in the
    tables of DSMTL, PTG and selective updates.
    """
