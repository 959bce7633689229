"""Variational multi-task learning with Gumbel-softmax priors."""

from mtlrun.methods._variational import MixedPriors


class VMTL(MixedPriors):
    """Priors of a task's representation and classifier are made of the other tasks' posteriors.

    Source: Shen et al., Variational Multi-Task Learning with Gumbel-Softmax Priors, NeurIPS 2021
    (VMTL), supplement A.1 and B.1.
    Differs: weights of divergences, draws in pairs, and the number of steps a batch are the released
    program's, where the bound has 1, L M draws and one; see `mtlrun.networks.vmtl.VMTL` and
    `mtlrun.updates.variational.Variational`. `z_net=linear per_task_optimizers=true` is the
    released program's network and optimizers.
    """
