from pathlib import Path

import numpy as np
import pytest
import torch

from mtlrun.core.data import DataError
from mtlrun.data.indoor_rgbd import FILE, HELD_OUT, IndoorRGBD

HELD = [own for names in HELD_OUT.values() for own in names]


def write(root: Path, ids: list[str]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    size = (len(ids), 6, 8)
    arrays = {
        "id": np.array(ids),
        "rgb": rng.integers(0, 256, (*size, 3), np.uint8),
        "depth_m": rng.random(size, np.float32),
        "normals_from_depth": rng.uniform(-1, 1, (*size, 3)).astype(np.float16),
    }
    np.savez(root / FILE, **arrays)
    return arrays


def test_splits_are_by_id_whatever_the_order_of_rows(tmp_path: Path) -> None:
    arrays = write(tmp_path, ["b", *HELD[::-1], "a"])
    data = IndoorRGBD(root=str(tmp_path))
    rows = {name: data.split(name).rows for name in ("train", "val", "test")}
    assert rows == {"train": ("b", "a")} | HELD_OUT
    batch = data.split("train").fetch([1], seed=0)
    assert isinstance(batch.inputs, torch.Tensor)
    expected = arrays["rgb"][9].transpose(2, 0, 1).astype(np.float32) / 255
    assert np.array_equal(batch.inputs[0].numpy(), expected)
    assert np.array_equal(batch.targets["depth"][0, 0].numpy(), arrays["depth_m"][9])
    normals = arrays["normals_from_depth"][9].transpose(2, 0, 1)
    assert np.array_equal(batch.targets["normals"][0].numpy(), normals.astype(np.float32))


def test_pictures_that_should_be_held_out_are_missed(tmp_path: Path) -> None:
    write(tmp_path, ["a", *HELD[1:]])
    with pytest.raises(DataError, match=HELD[0]):
        IndoorRGBD(root=str(tmp_path)).split("train")


def test_a_broken_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="MTLRUN_DATA"):
        IndoorRGBD(root=str(tmp_path)).split("train")
    write(tmp_path, ["a", *HELD])
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[: len(whole) // 2])
    data = IndoorRGBD(root=str(tmp_path))
    assert [finding.is_error for finding in data.check()] == [True] * 3
    with pytest.raises(DataError, match=FILE):
        data.split("train")


def test_values_out_of_range_are_found(tmp_path: Path) -> None:
    arrays = write(tmp_path, ["a", *HELD])
    arrays["depth_m"][0, 0, 0] = -1
    arrays["normals_from_depth"][1, 0, 0] = np.inf
    arrays["depth_m"][2, 0, 0] = np.nan
    arrays["normals_from_depth"][3, 0, 0] = np.nan
    np.savez(tmp_path / FILE, **arrays)
    texts = [f.text for f in IndoorRGBD(root=str(tmp_path)).check() if f.is_error]
    for named in (
        "`depth` of `a`",
        "`normals` of `uoc_04`",
        "`depth` of `uoc_05`",
        "`normals` of `uoc_06`",
    ):
        (error,) = [text for text in texts if named in text]
        assert f"`{tmp_path / FILE}` should hold" in error


def test_a_miniature_passes_its_check(tmp_path: Path) -> None:
    IndoorRGBD.write_miniature(tmp_path)
    data = IndoorRGBD(root=str(tmp_path))
    assert not any(finding.is_error for finding in data.check())
    assert [len(data.split(name)) for name in ("train", "val", "test")] == [8, 4, 4]
    with pytest.raises(ValueError, match="another folder"):
        IndoorRGBD.write_miniature(tmp_path)


@pytest.mark.data
def test_the_real_pictures_are_read(real_data: Path) -> None:
    data = IndoorRGBD(root=str(real_data / "indoor_rgbd_mini"), augment=True)
    splits = [data.split(name) for name in ("train", "val", "test")]
    assert [len(split) for split in splits] == [13, 4, 4]
    assert len({row for split in splits for row in split.rows}) == 21
    batch = splits[0].fetch([0, 7, 12], seed=3)
    assert batch.targets["depth"].shape == (3, 1, 240, 320)
    assert 0.2 < float(batch.targets["depth"].mean()) < 10
    lengths = batch.targets["normals"].norm(dim=1)
    assert bool(((lengths - 1).abs().lt(0.01) | lengths.eq(0)).all())
