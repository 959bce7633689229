"""Variational multi-task learning with simple priors: the baseline of VMTL."""

from mtlrun.methods._variational import SimplePriors


class VBMTL(SimplePriors):
    """Tasks share the network of random representations; all priors are N(0, I).

    Source: Shen et al., Variational Multi-Task Learning with Gumbel-Softmax Priors, NeurIPS 2021,
    supplement A.1 (VBMTL).
    Differs: as `mtlrun.methods.vmtl.VMTL`.
    """
