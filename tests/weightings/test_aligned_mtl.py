import pytest
import torch
from torch import Tensor
from torchjd.aggregation import AlignedMTLWeighting

from mtlrun.weightings.aligned_mtl import AlignedMTL
from tests.weightings.oracles import EDGES, ONES, rows, set_up


def test_all_singular_values_become_the_least() -> None:
    gradients = rows(4, spread=2.0)
    values = torch.linalg.svdvals(gradients)
    left, _, right = torch.linalg.svd(gradients, full_matrices=False)
    # By the decomposition of the matrix itself: U S V' becomes least(S) U V'.
    expected = torch.full((4,), 0.25, dtype=torch.float64) @ (values.min() * left @ right)
    found = set_up(AlignedMTL(), 4).weights(gradients @ gradients.T, ONES) @ gradients
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("scale", ["min", "median", "rmse"])
def test_torchjd_s_weights(scale: str) -> None:
    gradients = rows(3)
    products: Tensor = gradients @ gradients.T
    found = set_up(AlignedMTL(scale=scale), 3).weights(products, ONES)  # type: ignore[arg-type]
    torch.testing.assert_close(found, AlignedMTLWeighting(scale_mode=scale)(products))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", EDGES)
def test_edge_cases_stay_finite(name: str) -> None:
    gradients = EDGES[name]
    assert (
        set_up(AlignedMTL(), len(gradients)).weights(gradients @ gradients.T, ONES).isfinite().all()
    )
