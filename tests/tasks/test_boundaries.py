"""Boundaries: thinning, matching and odsF on drawn lines and on human maps."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy.ndimage import label
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mtlrun.tasks._boundary_matching import Mask, num_matched, thin
from mtlrun.tasks.boundaries import boundaries

masks = arrays(np.bool_, (9, 12))


def score(*batches: tuple[Tensor, Tensor], num_thresholds: int = 19) -> float:
    metric = boundaries(num_thresholds=num_thresholds).metrics["ods_f"]()
    for probability, target in batches:
        metric.update(torch.logit(probability.double(), eps=1e-6), target)
    return float(metric.compute())


@given(mask=masks)
@settings(max_examples=60, deadline=None)
def test_a_thinned_mask_is_a_part_that_is_connected_alike_and_thin(mask: Mask) -> None:
    thinned = thin(mask)
    assert not (thinned & ~mask).any()
    assert np.array_equal(thin(thinned), thinned)
    everywhere = np.ones((3, 3), dtype=int)
    assert label(thinned, everywhere)[1] == label(mask, everywhere)[1]


def test_a_broad_line_becomes_one_pixel_wide() -> None:
    mask = np.zeros((11, 20), dtype=np.bool_)
    mask[3:8, 2:18] = True
    thinned = thin(mask)
    assert thinned[:, 5:15].any(axis=0).all()
    assert (thinned[:, 5:15].sum(axis=0) == 1).all()
    assert 3 <= np.nonzero(thinned)[0].mean() <= 7


@given(found=masks, truth=masks, distance=st.sampled_from([0.0, 1.0, 1.5, 2.9]))
@settings(max_examples=40, deadline=None)
def test_matching_is_as_large_as_can_be(found: Mask, truth: Mask, distance: float) -> None:
    one, other = np.argwhere(found), np.argwhere(truth)
    apart = one[:, None] - other[None]
    near = np.asarray(np.square(apart).sum(axis=-1) <= distance**2)
    rows, columns = linear_sum_assignment(near, maximize=True)
    expected = near[rows, columns].sum()
    assert num_matched(found, truth, distance) == expected
    assert num_matched(truth, found, distance) == expected


def test_a_pixel_is_matched_once() -> None:
    found = np.array([[True, True, True, False]])
    truth = np.array([[False, True, False, False]])
    assert num_matched(found, truth, 1.0) == 1


def lines(shift: int = 0) -> Tensor:
    """[1, 1, 120, 160], whose tolerance is 1.5 pixels, with crossing lines."""
    drawn = torch.zeros(1, 1, 120, 160)
    drawn[..., 30 + shift, 20:140] = 1
    drawn[..., 20:100, 60 + shift] = 1
    return drawn


def test_ods_f_of_drawn_lines_by_hand() -> None:
    assert score((lines(), lines())) == 1
    assert score((lines(1), lines())) == 1  # each pixel is 1 from another one
    half = lines()
    half[..., 61:, :] = 0
    # By hand: 199 pixels of truth, of which 160 are found, and no others.
    assert score((half, lines())) == pytest.approx(2 * 160 / (160 + 199))
    assert score((lines(5), lines())) < 0.1


def test_one_threshold_serves_the_whole_set() -> None:
    # The weak image needs a low threshold at which the other one finds 199 pixels too many.
    weak, noisy = 0.3 * lines(), lines().maximum(0.4 * lines(20))
    together = score((weak, lines()), (noisy, lines()))
    assert score((weak, lines())) == score((noisy, lines())) == 1
    assert 0.6 < together < 0.9


def test_ods_f_does_not_depend_on_how_a_set_is_cut() -> None:
    g = torch.Generator().manual_seed(0)
    prediction = torch.rand(4, 1, 24, 32, generator=g)
    target = (torch.rand(4, 1, 24, 32, generator=g) < 0.1).float()
    cuts = list(zip(torch.split(prediction, [1, 3]), torch.split(target, [1, 3]), strict=True))
    assert score(*cuts) == score((prediction, target))


def test_invalid_pixels_count_neither_as_found_nor_as_missed() -> None:
    target, prediction = lines(), lines()
    prediction[..., 110, :] = 1
    prediction[..., 20:100, 60] = 0
    target[..., 105:, :] = torch.nan
    target[..., 61:105, 50:70] = torch.nan
    target[..., :30, 50:70] = torch.nan
    assert score((prediction, target)) > 0.85
    assert np.isnan(score((lines(), torch.full_like(target, torch.nan))))
    assert np.isnan(score((lines(), torch.zeros_like(target))))


def test_padding_does_not_widen_the_tolerance() -> None:
    target, prediction = (
        lines(),
        lines(2),
    )  # 2 pixels are beyond 1.5, and within it where 400x500 count
    padded = torch.full((1, 1, 400, 500), torch.nan)
    wide = torch.zeros_like(padded)
    padded[..., 90:210, 70:230], wide[..., 90:210, 70:230] = target, prediction
    assert score((wide, padded)) == score((prediction, target)) < 0.5


def test_loss_weighs_boundaries_95_to_5() -> None:
    logits = torch.zeros(1, 1, 1, 3, requires_grad=True)
    target = torch.tensor([1.0, 0.0, torch.nan]).view(1, 1, 1, 3)
    loss = boundaries().loss(logits, target)
    assert float(loss.detach()) == pytest.approx((0.95 + 0.05) * np.log(2) / 2)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.flatten().tolist() == pytest.approx([-0.2375, 0.0125, 0.0])


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`num_thresholds = 0`"):
        boundaries(num_thresholds=0)
    with pytest.raises(ValueError, match=r"`tolerance = -1`"):
        boundaries(tolerance=-1)


@pytest.mark.data
def test_human_maps_score_1_and_less_only_when_shifted_beyond_the_tolerance(
    real_data: Path,
) -> None:
    paths = sorted((real_data / "bsds500" / "test").glob("*_edge.png"))[:6]
    maps = [
        torch.from_numpy(np.asarray(Image.open(path)).astype(np.float32) / 255)[None, None]
        for path in paths
    ]

    def shifted(*by: int) -> float:
        return score(*((torch.roll(m, by, (2, 3)), m) for m in maps), num_thresholds=99)

    assert shifted(0, 0) == 1
    for inside in ((1, 0), (1, 1), (0, 2), (-2, 0)):  # 2.16 pixels are .0075 of the diagonal
        assert shifted(*inside) > 0.99
    assert shifted(3, 3) < 0.6
    assert shifted(8, 8) < 0.3
