from typing import Any

import numpy as np
import pytest

from mtlrun.data._joint_augment import augmented, distorted, finished, is_varied

HEIGHT, WIDTH = 60, 80


def made() -> dict[str, Any]:
    """Every map tells the place of a pixel of the whole, of 48 classes."""
    place = np.arange(HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH) + 1
    return {
        "image": np.zeros((3, HEIGHT, WIDTH), np.uint8),
        "segmentation": ((place - 1) // 100).astype(np.uint8),
        "human_parts": np.full((HEIGHT, WIDTH), 3, np.uint8),
        "depth": place[None],
        "normals": np.stack([place, place, place]),
        "edges": place[None],
        "saliency": place[None],
    }


def test_all_maps_move_together_depth_is_divided_and_normals_turn() -> None:
    scales, mirrors, sizes = [], set(), set()
    for seed in range(60):
        found = augmented(made(), (40, 48), seed)
        place = found["edges"][0]
        assert {values.shape[-2:] for values in found.values()} == {place.shape}
        assert np.array_equal(found["saliency"][0], place)
        assert np.array_equal(found["segmentation"], (place - 1) // 100)
        ratio = place / found["depth"][0]
        scale = float(ratio[0, 0])
        assert np.allclose(ratio, scale, rtol=1e-5)
        assert np.array_equal(found["normals"][1], place)
        assert np.array_equal(found["normals"][2], place)
        sign = np.sign(found["normals"][0, 0, 0])
        assert np.array_equal(found["normals"][0], sign * place)
        rows, columns = np.divmod(place - 1, WIDTH)
        steps = np.diff(columns, axis=1)
        assert (steps * sign >= 0).all()
        assert (np.diff(rows, axis=0) >= 0).all()
        # A pixel is 1 / scale of the whole's: the crop spans that much of it.
        assert abs(np.ptp(columns) - place.shape[1] / scale) < 2
        assert place.shape == (min(40, int(60 * scale)), min(48, int(80 * scale)))
        scales.append(scale)
        mirrors.add(sign)
        sizes.add(place.shape)
    assert 0.5 <= min(scales) < 0.7
    assert 1.8 < max(scales) <= 2
    assert mirrors == {-1, 1}
    assert len(sizes) > 3


def test_the_picture_moves_as_its_maps_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtlrun.data._joint_augment.distorted", lambda image, rng: image)
    example = made()
    ramp = np.linspace(0, 255, WIDTH)[None] * np.ones((HEIGHT, 1))
    down = np.linspace(0, 255, HEIGHT)[:, None] * np.ones((1, WIDTH))
    example["image"] = np.stack([ramp, down, ramp]).astype(np.uint8)
    for seed in range(30):
        found = augmented(example, (40, 48), seed)
        rows, columns = np.divmod(found["edges"][0] - 1, WIDTH)
        scale = found["edges"][0, 0, 0] / found["depth"][0, 0, 0]
        pixel = 255 / (HEIGHT - 1) / min(scale, 1)
        assert np.abs(found["image"][0] - columns / (WIDTH - 1) * 255).max() <= pixel + 1
        assert np.abs(found["image"][1] - rows / (HEIGHT - 1) * 255).max() <= pixel + 1


def test_crops_of_one_class_are_drawn_again() -> None:
    example = made()
    example["segmentation"] = np.zeros((HEIGHT, WIDTH), np.uint8)
    example["segmentation"][:, 60:] = 1
    found = [augmented(example, (20, 20), seed)["segmentation"] for seed in range(40)]
    assert np.mean([is_varied(labels) for labels in found]) > 0.6
    uniform = example | {"segmentation": np.zeros((HEIGHT, WIDTH), np.uint8)}
    assert augmented(uniform, (20, 20), 0)["segmentation"].shape == (20, 20)


@pytest.mark.parametrize(
    ("labels", "varied"),
    [
        ([0, 0, 0, 1], False),  # a share of 0.75 exactly
        ([0, 0, 0, 1, 1], True),
        ([5, 5, 255, 255], False),  # one class alone
        ([0, 0, 1, 255, 255, 255, 255, 255], True),  # unlabelled pixels do not count
        ([255, 255], False),
    ],
)
def test_a_class_may_have_less_than_three_quarters(labels: list[int], varied: bool) -> None:
    assert is_varied(np.array([labels], np.uint8)) == varied


def test_colours_are_left_or_moved_within_bounds() -> None:
    image = np.full((3, 4, 4), 100, np.uint8)
    image[0] = 180
    image[2] = 60
    found = [distorted(image, np.random.default_rng(seed)) for seed in range(300)]
    same = np.mean([np.array_equal(image, own) for own in found])
    assert 0.02 < same < 0.12  # all four coins: 1 / 16
    reds = np.array([own[0, 0, 0] for own in found], float)
    assert reds.min() >= 0.5 * (180 - 32) - 2
    assert reds.max() > 220
    assert {own.dtype for own in found} == {np.dtype(np.uint8)}
    grey = np.full((3, 2, 2), 90, np.uint8)
    assert all(
        (own == own[0]).all()
        for own in (distorted(grey, np.random.default_rng(s)) for s in range(50))
    )


def test_a_picture_without_a_body_counts_nowhere() -> None:
    example = made()
    for values, counted in ((0, 0), (255, 0), (3, HEIGHT * WIDTH)):
        example["human_parts"] = np.full((HEIGHT, WIDTH), values, np.uint8)
        found = finished(example, (64, 96))["human_parts"]
        assert (found != 255).sum() == counted
    example["human_parts"][0, 0], example["human_parts"][1:] = 1, 0
    assert (finished(example, (64, 96))["human_parts"] == 0).sum() == (HEIGHT - 1) * WIDTH
