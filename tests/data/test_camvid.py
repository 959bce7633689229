from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mtlrun.core.data import DataError
from mtlrun.data.camvid import CamVid, boundaries_of

LABELS = np.array([[0, 0, 5, 5], [0, 0, 5, 11], [2, 2, 5, 11]], np.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for split, count in (("train", 3), ("val", 1), ("test", 2)):
        for part in (split, f"{split}annot"):
            (tmp_path / part).mkdir()
        for k in range(count):
            pixels = np.full((3, 4, 3), 10 * k, np.uint8)
            Image.fromarray(pixels).save(tmp_path / split / f"{k}.png")
            Image.fromarray(LABELS).save(tmp_path / f"{split}annot" / f"{k}.png")
    return tmp_path


def test_boundaries_are_left_of_and_above_a_change_and_invalid_at_void() -> None:
    nan = np.nan
    # By hand: between the columns of 0 and 5, between the rows of 0 and 2, void and its neighbours out.
    expected = [[0, 1, 0, nan], [1, 1, nan, nan], [0, 1, nan, nan]]
    assert np.array_equal(boundaries_of(LABELS)[..., 0], expected, equal_nan=True)


def test_void_counts_nowhere_and_pictures_are_in_0_to_1(root: Path) -> None:
    data = CamVid(root=str(root))
    assert data.inputs.shape == (3, 3, 4)
    batch = data.split("train").fetch([2, 0], seed=0)
    assert isinstance(batch.inputs, torch.Tensor)
    assert torch.equal(batch.inputs[0], torch.full((3, 3, 4), 20 / 255))
    assert torch.equal(
        batch.targets["segmentation"][1], torch.from_numpy(np.where(LABELS == 11, 255, LABELS))
    )
    assert batch.targets["segmentation"].dtype == torch.int64
    assert batch.targets["boundaries"].shape == (2, 1, 3, 4)


def test_chosen_tasks_alone_are_read(root: Path) -> None:
    data = CamVid(root=str(root), tasks=["boundaries"])
    assert set(data.split("val").fetch([0], seed=0).targets) == {"boundaries"}
    with pytest.raises(ValueError, match="depth"):
        CamVid(root=str(root), tasks=["depth"])


@pytest.mark.parametrize("shape_and_label", [((3, 5), 0), ((3, 4), 12)], ids=["shape", "label"])
def test_a_wrong_annotation_is_named(
    root: Path, shape_and_label: tuple[tuple[int, int], int]
) -> None:
    wrong = np.full(shape_and_label[0], shape_and_label[1], np.uint8)
    Image.fromarray(wrong).save(root / "testannot" / "1.png")
    data = CamVid(root=str(root))
    path = root / "testannot" / "1.png"
    with pytest.raises(DataError, match=rf"`{path}` should .*`segmentation` of `test/1.png`"):
        data.split("test").fetch([1], seed=0)
    (error,) = [finding.text for finding in data.check() if finding.is_error]
    assert f"`{path}`" in error


def test_255_is_void_in_all_maps(root: Path) -> None:
    before = CamVid(root=str(root)).split("val").fetch([0], seed=0).targets
    marked = np.where(LABELS == 11, 255, LABELS).astype(np.uint8)
    Image.fromarray(marked).save(root / "valannot" / "0.png")
    after = CamVid(root=str(root)).split("val").fetch([0], seed=0).targets
    for name, values in before.items():
        torch.testing.assert_close(after[name], values, rtol=0, atol=0, equal_nan=True)


def test_a_missing_annotation_and_a_missing_folder_are_named(root: Path) -> None:
    (root / "trainannot" / "1.png").unlink()
    with pytest.raises(DataError, match=r"trainannot/1\.png"):
        CamVid(root=str(root)).split("train").fetch([1], seed=0)
    with pytest.raises(DataError, match="MTLRUN_DATA"):
        CamVid(root=str(root / "nothing")).split("val")


def test_other_files_and_other_labels_are_another_dataset(root: Path) -> None:
    before = CamVid(root=str(root), tasks=["boundaries"]).identity()
    assert before == CamVid(root=str(root)).identity()
    Image.fromarray(np.zeros_like(LABELS)).save(root / "valannot" / "0.png")
    assert CamVid(root=str(root)).identity() != before


def test_a_miniature_passes_its_check(tmp_path: Path) -> None:
    CamVid.write_miniature(tmp_path)
    data = CamVid(root=str(tmp_path))
    assert not any(finding.is_error for finding in data.check())
    assert [len(data.split(name)) for name in ("train", "val", "test")] == [8, 4, 4]
    with pytest.raises(ValueError, match="another folder"):
        CamVid.write_miniature(tmp_path)


@pytest.mark.data
def test_the_real_pictures_are_read(real_data: Path) -> None:
    data = CamVid(root=str(real_data / "camvid"))
    assert [len(data.split(name)) for name in ("train", "val", "test")] == [367, 101, 233]
    batch = data.split("test").fetch([0, 100, 232], seed=0)
    assert batch.targets["segmentation"].shape == (3, 180, 240)
    assert set(batch.targets["segmentation"].unique().tolist()) <= {*range(11), 255}
    found = batch.targets["boundaries"]
    share = float(found.nanmean())
    assert 0.02 < share < 0.2
    assert float(found.isnan().float().mean()) < 0.2
