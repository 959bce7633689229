from pathlib import Path

import numpy as np
import pytest
import torch

from mtlrun.core.data import DataError
from mtlrun.data._dense_split import augmented
from mtlrun.data.cityscapes import Cityscapes
from mtlrun.data.nyuv2 import NYUv2


@pytest.fixture
def root(tmp_path: Path) -> Path:
    NYUv2.write_miniature(tmp_path / "nyuv2")
    return tmp_path / "nyuv2"


def test_a_miniature_is_read_back_and_passes_its_check(root: Path) -> None:
    data = NYUv2(root=str(root))
    assert not any(finding.is_error for finding in data.check())
    batch = data.split("test").fetch([3, 1], seed=0)
    assert isinstance(batch.inputs, torch.Tensor)
    assert batch.inputs.shape == (2, 3, 32, 48)
    stored = np.load(root / "val" / "image" / "3.npy").transpose(2, 0, 1)
    assert np.array_equal(batch.inputs[0].numpy(), stored)
    assert batch.targets["segmentation"].shape == (2, 32, 48)
    assert batch.targets["depth"].shape == (2, 1, 32, 48)
    assert batch.targets["normals"].shape == (2, 3, 32, 48)


def test_cityscapes_has_no_normals(tmp_path: Path) -> None:
    Cityscapes.write_miniature(tmp_path / "c")
    data = Cityscapes(root=str(tmp_path / "c"))
    assert set(data.split("train").fetch([0], seed=0).targets) == {"segmentation", "depth"}
    assert not (tmp_path / "c" / "train" / "normal").exists()


def test_miniatures_have_invalid_depth_and_normals_in_both_parts(
    root: Path, tmp_path: Path
) -> None:
    Cityscapes.write_miniature(tmp_path / "c")
    for own in (NYUv2(root=str(root)), Cityscapes(root=str(tmp_path / "c"))):
        for split in (own.split("train"), own.split("test")):
            targets = split.fetch(range(len(split)), seed=0).targets
            for task in set(targets) - {"segmentation"}:
                invalid = (targets[task] == 0).all(dim=1)
                assert 0 < invalid.float().mean() < 0.5, (own.name, split.rows, task)


def test_depth_of_the_streets_is_inverse(root: Path, tmp_path: Path) -> None:
    Cityscapes.write_miniature(tmp_path / "c")
    paths = (own / "train" / "depth" / "0.npy" for own in (root, tmp_path / "c"))
    rooms, streets = (np.load(path) for path in paths)
    assert rooms.max() > 2  # metres
    assert 0.05 < streets[streets > 0].min() < streets.max() < 2


def test_held_out_pictures_are_not_trained_on(root: Path) -> None:
    data = NYUv2(root=str(root), val_share=0.25)
    train, val = set(data.split("train").rows), set(data.split("val").rows)
    assert len(val) == 2
    assert not train & val
    assert train | val == {f"train/{k}" for k in range(8)}


def test_without_a_share_all_is_trained_on_and_val_is_the_last_part(root: Path) -> None:
    data = NYUv2(root=str(root))
    assert data.split("train").rows == tuple(f"train/{k}" for k in range(8))
    assert data.split("val").rows == ("train/7",)


@pytest.mark.parametrize(
    ("folder", "values"),
    [
        ("image", np.zeros((32, 48))),
        ("depth", np.zeros((32, 47, 1))),
        ("label", np.full((32, 48), 13.0)),
        ("label", np.full((32, 48), 0.5)),
    ],
)
def test_a_wrong_file_is_named(root: Path, folder: str, values: np.ndarray) -> None:
    data = NYUv2(root=str(root))
    np.save(root / "train" / folder / "2.npy", values)
    with pytest.raises(DataError, match=f"train/{folder}/2.npy"):
        data.split("train").fetch([2], seed=0)
    assert any(f.is_error and f"{folder}/2.npy" in f.text for f in data.check())


def test_a_truncated_file_is_named(root: Path) -> None:
    path = root / "train" / "normal" / "4.npy"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"train/normal/4\.npy"):
        NYUv2(root=str(root)).split("train").fetch([4], seed=0)


def test_a_missing_file_is_named(root: Path) -> None:
    (root / "val" / "depth" / "1.npy").unlink()
    with pytest.raises(DataError, match=r"val/depth.*`1.npy`"):
        NYUv2(root=str(root)).split("test")


def test_a_missing_folder_tells_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="MTLRUN_DATA"):
        NYUv2(root=str(tmp_path)).split("train")


def test_augmentation_moves_all_maps_together() -> None:
    place = torch.arange(60.0 * 80).view(1, 60, 80) + 1
    label = place[0].long()
    normal = torch.stack([place[0], place[0], place[0]])
    image = torch.linspace(0, 1, 80).expand(3, 60, 80)
    seen = set()
    for seed in range(40):
        example = {"image": image, "segmentation": label, "depth": place, "normals": normal}
        result = augmented(example, seed)
        scale = result["segmentation"] / result["depth"][0]
        assert torch.allclose(scale, scale[0, 0].expand_as(scale), rtol=1e-5)
        sign = result["normals"][0, 0, 0] / result["normals"][1, 0, 0]
        assert torch.equal(result["normals"][0], sign * result["segmentation"])
        assert torch.equal(result["normals"][1], result["segmentation"].float())
        column = ((result["segmentation"] - 1) % 80).float() / 79
        assert (result["image"][0] - column).abs().max() < 1.5 / 79
        mirrored = bool(column[0, 0] > column[0, -1])
        assert mirrored == bool(sign < 0)
        seen.add((round(float(scale[0, 0]), 3), mirrored))
    assert seen == {(s, m) for s in (1.0, 1.2, 1.5) for m in (False, True)}


def test_augmentation_depends_on_seed_and_example_only(root: Path) -> None:
    split = NYUv2(root=str(root), augment=True).split("train")
    together, alone = split.fetch([1, 5], seed=3), split.fetch([5], seed=3)
    assert torch.equal(together.targets["depth"][1:], alone.targets["depth"])


@pytest.mark.parametrize("folder", ["image", "label", "depth", "normal"])
def test_mended_files_are_another_dataset(root: Path, folder: str) -> None:
    before = NYUv2(root=str(root)).identity()
    path = root / "train" / folder / "5.npy"
    np.save(path, -np.load(path))
    assert NYUv2(root=str(root)).identity() != before


def test_labels_of_minus_one_count_nowhere(root: Path) -> None:
    path = root / "train" / "label" / "0.npy"
    stored = np.load(path)
    stored[:3] = -1
    np.save(path, stored)
    read = NYUv2(root=str(root)).split("train").fetch([0], seed=0).targets["segmentation"][0]
    assert np.array_equal(read.numpy(), np.where(stored < 0, 255, stored))


def test_metrics_are_those_that_delta_i_of_the_papers_tables_takes_the_mean_of(root: Path) -> None:
    # Golden: the columns of Table 2 of Deep Safe Multi-Task Learning; Table 1 has the first two tasks.
    found = {task.name: list(task.metrics) for task in NYUv2(root=str(root)).tasks}
    assert found == {
        "segmentation": ["miou", "pixel_error"],
        "depth": ["abs_error", "rel_error"],
        "normals": ["mean_angle", "median_angle", "within_11", "within_22", "within_30"],
    }
    streets = {task.name: list(task.metrics) for task in Cityscapes(root=str(root)).tasks}
    assert streets == {name: found[name] for name in ("segmentation", "depth")}


def test_a_share_of_0_is_told_to_train_on_val_with_the_way_out(root: Path) -> None:
    assert NYUv2(root=str(root)).trained_on_val == "data.val_share=0.1"
    assert NYUv2(root=str(root), val_share=0.1).trained_on_val is None
