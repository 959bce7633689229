from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mtlrun.core.data import DataError
from mtlrun.data.nyudv2 import NYUDv2

MEANS, DEVIATIONS = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
TASKS = ["segmentation", "depth", "normals", "edges"]


FILES = {
    "images": np.full((4, 6, 3), 51),
    "segmentation": np.arange(24).reshape(4, 6),
    "normals": np.full((4, 6, 3), (255, 128, 0)),
    "edge": np.full((4, 6), 51),
    "depth": np.full((4, 6), 2.0),
}


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "nyudv2"
    NYUDv2.write_miniature(folder)
    return folder


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Pictures 1 and 2 for training, 3 for the test, of 4x6 pixels."""
    for name in ("1", "2", "3"):
        for folder, values in FILES.items():
            put(tmp_path, folder, values, name)
    (tmp_path / "gt_sets").mkdir()
    (tmp_path / "gt_sets" / "train.txt").write_text("1\n2\n")
    (tmp_path / "gt_sets" / "val.txt").write_text("3\n")
    return tmp_path


def put(root: Path, folder: str, values: Any, name: str = "1") -> Path:
    path = root / folder / f"{name}.{'npy' if folder == 'depth' else 'png'}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if folder == "depth":
        np.save(path, values)
    else:
        Image.fromarray(np.asarray(values).astype(np.uint8)).save(path)
    return path


def first(root: Path, **others: Any) -> Any:
    """The first training example, unaugmented and unpadded."""
    arguments: dict[str, Any] = {"size": [4, 6], "augment": False} | others
    data = NYUDv2(root=str(root), **arguments)
    batch = data.split("train").fetch([0], seed=0)
    return {"image": batch.inputs, **batch.targets}


def test_a_miniature_is_read_back_and_passes_its_check(miniature: Path) -> None:
    data = NYUDv2(root=str(miniature))
    assert [task.name for task in data.tasks] == TASKS
    assert [len(data.split(name)) for name in ("train", "val", "test")] == [8, 1, 6]
    found = list(data.check())
    assert not [finding.text for finding in found if finding.is_error]
    assert any("8 pictures, 795 in the published copy" in finding.text for finding in found)
    assert any("8 of 85x112" in finding.text for finding in found)
    batch = data.split("train").fetch(range(8), seed=1)
    assert data.inputs.shape == (3, 96, 128)
    assert isinstance(batch.inputs, torch.Tensor)
    assert batch.inputs.shape == (8, 3, 96, 128)
    assert batch.inputs.isfinite().all()
    for task in data.tasks:
        own = batch.targets[task.name]
        channels = () if task.name == "segmentation" else (task.output.channels,)
        assert own.shape == (8, *channels, 96, 128)
        loss = task.loss(torch.zeros(8, task.output.channels, 96, 128), own)
        assert loss.isfinite(), task.name
        assert loss > 0, task.name


def test_a_miniature_overwrites_nothing(miniature: Path) -> None:
    with pytest.raises(ValueError, match="without a copy of nyudv2"):
        NYUDv2.write_miniature(miniature)


@pytest.mark.parametrize(("stored", "size"), [((425, 560), (448, 576)), ((480, 640), (480, 640))])
def test_the_size_is_read_from_the_files(
    made: Path, stored: tuple[int, int], size: tuple[int, int]
) -> None:
    put(made, "images", np.zeros((*stored, 3)), "3")
    assert NYUDv2(root=str(made)).size == size
    assert NYUDv2(root="nowhere").size == (448, 576)


def test_targets_are_those_of_the_layout(made: Path) -> None:
    put(made, "depth", [[0.0, 1.5, 2, 2, 2, 2]] * 4)
    put(made, "normals", [[[127, 128, 128]] + [[255, 51, 0]] * 5] * 4)
    found = first(made)
    expected = (0.2 - MEANS) / DEVIATIONS
    assert (found["image"][0] - expected[:, None, None]).abs().max() < 1e-5
    assert found["segmentation"].dtype == torch.int64
    assert found["segmentation"][0].flatten().tolist() == [255, *range(23)]
    assert found["depth"][0, 0, 0].tolist() == [0, 1.5, 2, 2, 2, 2]
    assert found["normals"][0, :, 0, 0].tolist() == [0, 0, 0]
    torch.testing.assert_close(found["normals"][0, :, 0, 1], torch.tensor([1, -0.6, -1]))
    torch.testing.assert_close(found["edges"], torch.full((1, 1, 4, 6), 0.2))


def test_pictures_are_padded_around_the_middle_by_what_does_not_count(made: Path) -> None:
    found = first(made, size=[8, 8])
    inner = (slice(2, 6), slice(1, 7))
    counted = {
        "image": found["image"][0].abs().sum(0) > 0,
        "segmentation": found["segmentation"][0] != 255,
        "depth": found["depth"][0, 0] != 0,
        "normals": (found["normals"][0] != 0).any(0),
        "edges": ~found["edges"][0, 0].isnan(),
    }
    for name, mask in counted.items():
        assert mask[inner].sum() == (23 if name == "segmentation" else 24), name
        assert mask.sum() == mask[inner].sum(), name


def test_larger_pictures_are_not_cut_where_they_are_measured(made: Path) -> None:
    with pytest.raises(DataError, match=r"images/1\.png.*data\.size"):
        first(made, size=[4, 4])
    augmented = NYUDv2(root=str(made), size=[4, 4]).split("train").fetch([0], seed=0)
    assert len(augmented) == 1


def test_the_check_compares_all_pictures_that_are_padded_with_the_size(made: Path) -> None:
    def errors(**others: Any) -> list[str]:
        data = NYUDv2(root=str(made), size=[32, 32], **others)
        return [finding.text for finding in data.check() if finding.is_error]

    assert not errors()
    for folder, values in FILES.items():
        put(made, folder, np.resize(values, (33, 6, *values.shape[2:])), "1")
    assert not errors()  # it is cropped: `val` is picture 2
    (error,) = errors(augment=False)
    assert f"`{made / 'images' / '1.png'}` should be no larger than 32x32 pixels" in error
    assert "1 pictures of list `train` are larger; 64x32 holds all" in error


def test_the_check_reads_the_labels_that_crops_depend_on(made: Path) -> None:
    path = put(made, "segmentation", np.full((4, 6), 41))
    (error,) = [f.text for f in NYUDv2(root=str(made), tasks=["edges"]).check() if f.is_error]
    assert str(path) in error


@pytest.mark.parametrize(
    ("folder", "values", "says"),
    [
        ("segmentation", np.full((4, 6), 41), "labels 0..40"),
        ("segmentation", np.full((4, 5), 1), "size of its picture, 4x6. Found 4x5"),
        ("normals", np.full((4, 6), 1), "3 channel"),
        ("edge", np.full((5, 6), 1), "size of its picture"),
        ("depth", np.full((4, 6, 1), 1.0), "H x W numbers"),
        ("depth", np.full((4, 6), -1.0), "0 or more"),
        ("depth", np.full((4, 6), np.nan), "0 or more"),
    ],
)
def test_a_wrong_file_is_named(made: Path, folder: str, values: Any, says: str) -> None:
    path = put(made, folder, values)
    with pytest.raises(DataError, match=says) as caught:
        first(made)
    assert str(path) in str(caught.value)
    errors = [f.text for f in NYUDv2(root=str(made)).check() if f.is_error]
    assert len(errors) == 1
    assert str(path) in errors[0]


@pytest.mark.parametrize("folder", ["images", "normals", "depth"])
def test_a_truncated_file_is_named(miniature: Path, tmp_path: Path, folder: str) -> None:
    NYUDv2.write_miniature(tmp_path / "own")
    path = next((tmp_path / "own" / folder).glob("1.*"))
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(DataError, match=path.name):
        first(tmp_path / "own", size=None)


def test_counts_that_do_not_match_name_folder_and_file(made: Path) -> None:
    (made / "edge" / "2.png").unlink()
    with pytest.raises(DataError, match=r"edge` should hold a file for each of the 2.*`2\.png`"):
        NYUDv2(root=str(made)).split("train")
    assert len(NYUDv2(root=str(made), tasks=["depth"]).split("train")) == 2
    assert any("edge" in f.text for f in NYUDv2(root=str(made)).check() if f.is_error)


def test_a_missing_folder_is_named(made: Path) -> None:
    (made / "depth").rename(made / "elsewhere")
    with pytest.raises(DataError, match=r"depth` should hold.*no such folder"):
        NYUDv2(root=str(made)).split("test")


def test_a_missing_copy_tells_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gt_sets/train\.txt.*MTLRUN_DATA"):
        NYUDv2(root=str(tmp_path)).split("train")


def test_a_picture_of_both_lists_is_refused(made: Path) -> None:
    (made / "gt_sets" / "val.txt").write_text("3\n2\n")
    with pytest.raises(DataError, match=r"`2` again in .*val\.txt"):
        NYUDv2(root=str(made)).split("train")


def test_augmentation_depends_on_seed_and_example_only(miniature: Path) -> None:
    split = NYUDv2(root=str(miniature)).split("train")
    together, alone = split.fetch([1, 5], seed=3), split.fetch([5], seed=3)
    assert torch.equal(together.targets["depth"][1:], alone.targets["depth"])
    assert not torch.equal(alone.targets["depth"], split.fetch([5], seed=4).targets["depth"])


def test_a_target_does_not_depend_on_the_other_tasks(miniature: Path) -> None:
    every = NYUDv2(root=str(miniature)).split("train").fetch(range(4), seed=2)
    for name in TASKS:
        alone = NYUDv2(root=str(miniature), tasks=[name]).split("train").fetch(range(4), seed=2)
        assert isinstance(alone.inputs, torch.Tensor)
        assert isinstance(every.inputs, torch.Tensor)
        assert torch.equal(alone.inputs, every.inputs)
        assert torch.equal(alone.targets[name].nan_to_num(9), every.targets[name].nan_to_num(9))


def test_depth_is_led_by_the_papers_metric() -> None:
    (task,) = NYUDv2(tasks=["depth"]).tasks
    assert task.leading_metric == "rmse"
    assert set(task.metrics) == {"rmse", "abs_error", "rel_error"}


def test_the_identity_follows_the_files_and_not_the_folder(made: Path) -> None:
    before = NYUDv2(root=str(made)).identity()
    moved = made.rename(made.with_name("moved"))
    assert NYUDv2(root=str(moved)).identity() == before
    put(moved, "depth", np.full((4, 7), 2.0), "2")
    assert NYUDv2(root=str(moved)).identity() != before
