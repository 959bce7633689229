"""Variational multi-task learning with amortized classifiers."""

from mtlrun.methods._variational import MixedPriors


class VMTLAC(MixedPriors):
    """As VMTL, but a network shared by all tasks makes classifiers of their classes' mean inputs.

    Source: Shen et al., Variational Multi-Task Learning with Gumbel-Softmax Priors, NeurIPS 2021
    (VMTL-AC), supplement B.1 and C.5.
    Differs: as `mtlrun.methods.vmtl.VMTL`; the mean of a class is that of all its training examples, where the
    released program has a running one.
    """

    classifier = "amortized"
