"""Groups by affinity propagation, as the published program of selective updates forms them."""

import warnings

import torch
from sklearn.cluster import AffinityPropagation as Clustering
from torch import Tensor

from mtlrun.updates._groupings import Grouping, Partition, canonical

FIRST_LIMIT, FURTHER, TRIALS = 200, 100, 11  # iterations, more of them in each further trial


class AffinityPropagation(Grouping):
    """Clusters tasks by affinities relative to each target's own.

    Source: the program of Selective Task Group Updates: column j is divided by its entry on the
    diagonal, the result symmetrised, and clustered with the median as preference, damping 0.5 and 50
    iterations without change; without an exemplar, up to ten further trials of 100 more iterations
    each; else the groups stay.
    Differs: the groups stay where an entry on the diagonal is 0 (there infinities go in); the random
    state is fixed (there not set, so that processes may disagree).

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
        for trial in range(TRIALS):
            clustering = Clustering(
                affinity="precomputed",
                damping=0.5,
                convergence_iter=50,
                max_iter=FIRST_LIMIT + FURTHER * trial,
                random_state=0,
            )
            with warnings.catch_warnings():  # of equal similarities, of no convergence
                warnings.simplefilter("ignore")
                labels = clustering.fit(similarity).labels_.tolist()
            if min(labels) >= 0:
                clusters = set(labels)
                return canonical([[t for t, k in enumerate(labels) if k == c] for c in clusters])
        return before
