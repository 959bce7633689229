import pytest
import torch
from torchjd.aggregation import IMTLGWeighting

from mtlrun.weightings.imtl_g import IMTLG, equal_projections
from tests.weightings.oracles import EDGES, ONES, rows, set_up


@pytest.mark.parametrize("num_tasks", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("spread", [0.0, 4.0, 8.0])
def test_the_projections_on_all_gradients_are_equal(num_tasks: int, spread: float) -> None:
    gradients = rows(num_tasks, spread=spread)
    weights = equal_projections(gradients @ gradients.T)
    projections = (gradients / gradients.norm(dim=1, keepdim=True)) @ (weights @ gradients)
    torch.testing.assert_close(projections, projections[0].expand(num_tasks), rtol=1e-7, atol=1e-9)
    assert float(weights.sum()) == pytest.approx(1.0, abs=1e-9)


def test_norms_alike_give_torchjd_s_weights() -> None:
    gradients = rows(4)
    products = gradients @ gradients.T
    found = set_up(IMTLG(), 4).weights(products, ONES)
    torch.testing.assert_close(found, IMTLGWeighting()(products), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", EDGES)
def test_edge_cases_stay_finite(name: str) -> None:
    gradients = EDGES[name]
    weights = set_up(IMTLG(), len(gradients)).weights(gradients @ gradients.T, ONES)
    assert weights.isfinite().all()
    if name == "opposite":
        assert not weights.any()
