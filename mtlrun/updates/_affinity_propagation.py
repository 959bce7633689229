"""Groups by affinity propagation, as the published program of selective updates forms them."""

import warnings

import torch
from sklearn.cluster import AffinityPropagation as Clustering
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from mtlrun.updates._groupings import Grouping, Partition, canonical

LIMIT = 1200  # iterations: those of the last trial


class AffinityPropagation(Grouping):
    """Clusters tasks by affinities relative to each target's own.

    Source: the program of Selective Task Group Updates: column j is divided by its entry on the
    diagonal, the result symmetrised, and clustered with the median as preference, damping 0.5 and 50
    iterations without change; where it does not converge, up to ten further trials of 100 more
    iterations each; else the groups stay.
    Differs: the groups stay where an entry on the diagonal is 0 (there infinities go in). The random
    state is fixed (there not set, so that processes may disagree): every trial would begin as the
    one before, so that the last one alone is run. A fit that does not converge has no clusters, as
    the program was written for; from scikit-learn 1.1 on it would be given those of its last iteration.

    It is no merging of positive pairs: two tasks are always two groups, and three that all harm each
    other may be two. A positive factor of all affinities changes nothing.
    """

    def partition(
        self, affinity: Tensor, before: Partition, generator: torch.Generator
    ) -> Partition:
        """The clusters, or the groups so far where there are none."""
        relative = affinity / affinity.diagonal()
        if len(affinity) == 1 or not bool(relative.isfinite().all()):
            return before
        similarity = ((relative + relative.T) / 2).numpy()
        clustering = Clustering(
            affinity="precomputed",
            damping=0.5,
            convergence_iter=50,
            max_iter=LIMIT,
            random_state=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of equal similarities
            warnings.simplefilter("error", ConvergenceWarning)
            try:
                labels = clustering.fit(similarity).labels_.tolist()
            except ConvergenceWarning:
                return before
        clusters = set(labels)
        return canonical([[t for t, k in enumerate(labels) if k == c] for c in clusters])
