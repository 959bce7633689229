import pytest
import torch
from torch import Tensor
from torchjd.aggregation import AlignedMTLWeighting

from mtlrun.weightings.aligned_mtl import AlignedMTL
from tests.weightings.oracles import EDGES, ONES, rows, set_up


@pytest.mark.parametrize("num_tasks", [4, 5])
@pytest.mark.parametrize("spread", [0.0, 2.0, 4.0, 8.0])
def test_all_singular_values_become_the_least(num_tasks: int, spread: float) -> None:
    gradients = rows(num_tasks, spread=spread)
    # By the decomposition of the matrix itself: U S V' becomes least(S) U V'.
    left, values, right = torch.linalg.svd(gradients, full_matrices=False)
    expected = (values.min() * left @ right).mean(0)
    found = set_up(AlignedMTL(), num_tasks).weights(gradients @ gradients.T, ONES) @ gradients
    assert (found - expected).norm() <= 1e-6 * expected.norm()


def test_dependent_gradients_keep_the_values_that_are_not_zero() -> None:
    gradients = torch.cat([rows(3, spread=2.0), torch.zeros(1, 12, dtype=torch.float64)])
    gradients = torch.cat([gradients, gradients[:1] - gradients[1:2]])
    left, values, right = torch.linalg.svd(gradients, full_matrices=False)
    expected = (values[2] * left[:, :3] @ right[:3]).mean(0)
    found = set_up(AlignedMTL(), 5).weights(gradients @ gradients.T, ONES) @ gradients
    assert (found - expected).norm() <= 1e-6 * expected.norm()


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
