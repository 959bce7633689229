from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import loadmat, savemat

from mtlrun.core.data import DataError
from mtlrun.data._pascal_classes import NORMAL_CLASSES, PART_LABELS
from mtlrun.data._pascal_files import edges_between
from mtlrun.data.pascal_context import FOUR, PASCALContext

TASKS = ["segmentation", "human_parts", "saliency", "edges", "normals"]
OBJECTS = "pascal-context/trainval"


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "pascal_context"
    PASCALContext.write_miniature(folder)
    return folder


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Pictures a and b for training, c for the test, of 6x8 pixels."""
    for name in ("a", "b", "c"):
        put(tmp_path, "JPEGImages", np.full((6, 8, 3), 51), name)
        put(tmp_path, "semseg/pascal-context", np.full((6, 8), 3), name)
        put(tmp_path, "normals_distill", np.full((6, 8, 3), (255, 51, 0)), name)
        put(tmp_path, "sal_distill", np.full((6, 8), 128), name)
        put(tmp_path, OBJECTS, {"LabelMap": np.full((6, 8), 440, np.uint16)}, name)
        put(tmp_path, "human_parts", anno(("person", 15, [("head", 2, 3)])), name)
    lists = tmp_path / "ImageSets" / "Context"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\nb\n")
    (lists / "val.txt").write_text("c\n")
    return tmp_path


def put(root: Path, folder: str, values: Any, name: str = "a") -> Path:
    """Writes a picture, or a MAT file of a dictionary."""
    suffix = "jpg" if folder == "JPEGImages" else "mat" if isinstance(values, dict) else "png"
    path = root / folder / f"{name}.{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(values, dict):
        savemat(path, values)
    else:
        Image.fromarray(np.asarray(values).astype(np.uint8)).save(path)
    return path


def anno(*objects: tuple[str, int, list[tuple[str, int, int]]]) -> dict[str, Any]:
    """PASCAL-Part's form of 6x8 objects: class, its number, and parts of one pixel each."""
    records = np.empty(
        (1, len(objects)), [(f, object) for f in ("class", "class_ind", "mask", "parts")]
    )
    for k, (name, number, own) in enumerate(objects):
        parts = np.empty((1, len(own)), [("part_name", object), ("mask", object)])
        for j, (part, row, column) in enumerate(own):
            mask = np.zeros((6, 8), np.uint8)
            mask[row, column] = 1
            parts[0, j] = (part, mask)
        rest = parts if own else np.zeros((0, 0))
        records[0, k] = (name, number, np.ones((6, 8), np.uint8), rest)
    return {"anno": {"imname": "a", "objects": records}}


def first(root: Path, **others: Any) -> Any:
    """The first training example, unpadded."""
    arguments: dict[str, Any] = {"size": [6, 8], "tasks": None} | others
    batch = PASCALContext(root=str(root), **arguments).split("train").fetch([0], seed=0)
    return {"image": batch.inputs, **batch.targets}


def test_a_miniature_is_read_back_and_passes_its_check(miniature: Path) -> None:
    data = PASCALContext(root=str(miniature), tasks=None, augment=True, edge_thresholds=5)
    assert data.size == (128, 128)
    assert [task.name for task in data.tasks] == TASKS
    assert [len(data.split(name)) for name in ("train", "val", "test")] == [8, 1, 6]
    found = list(data.check())
    assert not [finding.text for finding in found if finding.is_error]
    assert any("8 pictures, 4998 in the published copy" in finding.text for finding in found)
    assert any("4 of 75x100, 4 of 100x75" in finding.text for finding in found)
    for split in ("train", "test"):
        batch = data.split(split).fetch(range(6), seed=1)
        assert isinstance(batch.inputs, torch.Tensor)
        assert batch.inputs.shape == (6, 3, 128, 128)
        for task in data.tasks:
            own = batch.targets[task.name]
            labels = task.name in ("segmentation", "human_parts")
            assert own.shape == (6, *(() if labels else (task.output.channels,)), 128, 128)
            assert own.dtype == (torch.int64 if labels else torch.float32)
            loss = task.loss(torch.zeros(6, task.output.channels, 128, 128), own)
            assert loss.isfinite(), task.name
            assert loss > 0, task.name
            for name, make in task.metrics.items():
                metric = make()
                metric.update(torch.randn(6, task.output.channels, 128, 128), own)
                assert torch.as_tensor(metric.compute()).isfinite(), (task.name, name)


def test_a_miniature_overwrites_nothing(miniature: Path) -> None:
    with pytest.raises(ValueError, match="without a copy of pascal_context"):
        PASCALContext.write_miniature(miniature)


def test_the_papers_four_tasks_are_the_default() -> None:
    assert [task.name for task in PASCALContext().tasks] == list(FOUR)
    assert [task.output.channels for task in PASCALContext().tasks] == [21, 7, 1, 3]


def test_metrics_are_those_that_delta_i_of_the_papers_table_takes_the_mean_of() -> None:
    # Golden: the columns of Table 3 of Deep Safe Multi-Task Learning.
    assert {task.name: sorted(task.metrics) for task in PASCALContext().tasks} == {
        "segmentation": ["miou"],
        "human_parts": ["miou"],
        "saliency": ["max_f", "miou"],
        "normals": ["mean_angle", "median_angle", "within_11", "within_22", "within_30"],
    }


def test_labels_of_voc_come_first(made: Path) -> None:
    assert (first(made)["segmentation"] == 3).all()
    labels = np.full((6, 8), 20)
    labels[0, 0] = 255
    put(made, "semseg/VOC12", labels)
    found = first(made)["segmentation"][0]
    assert found[0, 0] == 255
    assert (found.flatten()[1:] == 20).all()


def test_saliency_begins_above_one_half(made: Path) -> None:
    put(made, "sal_distill", [[0, 127, 128, 255, 0, 0, 0, 0]] * 6)
    assert first(made)["saliency"][0, 0, 0].tolist() == [0, 0, 1, 1, 0, 0, 0, 0]


def test_normals_count_on_common_classes_only(made: Path) -> None:
    classes = np.array([[440, 158, 427, 187, 0, 431, 360, 284]] * 6, np.uint16)
    put(made, OBJECTS, {"LabelMap": classes})
    found = first(made)["normals"][0]
    # Wall, floor, screen, grass, none, unknown, sky, person.
    assert (found[:, 0] != 0).any(0).tolist() == [
        True,
        True,
        True,
        False,
        False,
        False,
        False,
        True,
    ]
    torch.testing.assert_close(found[:, 0, 0], torch.tensor([1, -0.6, -1]))
    assert len(set(NORMAL_CLASSES)) == len(NORMAL_CLASSES)
    assert all(1 <= place <= 459 for place in NORMAL_CLASSES)


def test_edges_are_thin_lines_between_objects(made: Path) -> None:
    classes = np.full((6, 8), 440, np.uint16)
    classes[:, 4:] = 158
    found = edges_between(classes.astype(np.int32))
    assert set(np.nonzero(found)[1]) <= {3, 4}
    assert 4 <= found.sum() <= 7  # a line of six, whose ends may be cut
    put(made, OBJECTS, {"LabelMap": classes})
    edges = first(made, size=[8, 8])["edges"][0, 0]
    assert np.array_equal(edges[1:7].numpy() == 1, found)
    assert edges[0].isnan().all()
    assert edges[7].isnan().all()
    assert not edges_between(np.full((6, 8), 9)).any()


def test_parts_of_all_people_are_labelled_as_the_programs_do(made: Path) -> None:
    people = anno(
        ("chair", 9, [("seat", 0, 0)]),
        ("person", 15, [("hair", 1, 1), ("torso", 1, 2), ("ruarm", 1, 3), ("lhand", 1, 4)]),
        ("person", 15, [("luleg", 1, 5), ("rfoot", 1, 6), ("leye", 1, 1), ("neck", 1, 7)]),
        ("person", 15, []),
    )
    put(made, "human_parts", people)
    found = first(made)["human_parts"][0]
    assert found[1].tolist() == [0, 1, 2, 3, 4, 5, 6, 2]
    assert found.sum() == 23
    assert len(PART_LABELS) == 24
    assert set(PART_LABELS.values()) == {1, 2, 3, 4, 5, 6}


def test_a_picture_without_people_counts_nowhere_for_parts(made: Path) -> None:
    put(made, "human_parts", anno(("chair", 9, [("seat", 0, 0)]), ("person", 15, [])))
    assert (first(made)["human_parts"] == 255).all()


@pytest.mark.parametrize(
    ("folder", "values", "says"),
    [
        ("semseg/pascal-context", np.full((6, 8), 21), "labels 0..20 or 255"),
        ("semseg/pascal-context", np.full((6, 7), 1), "size of its picture"),
        ("sal_distill", np.full((6, 8, 3), 1), "1 channel"),
        ("normals_distill", np.full((5, 8, 3), 1), "size of .*normals_distill"),
        (OBJECTS, {"LabelMap": np.zeros((5, 8), np.uint16)}, "size of"),
        (OBJECTS, {"Labels": np.zeros((6, 8), np.uint16)}, "should hold `LabelMap`"),
        ("human_parts", {"parts": np.zeros((6, 8))}, "PASCAL-Part's `anno`"),
        ("human_parts", anno(("person", 15, [("wing", 0, 0)])), "Found `wing`"),
    ],
)
def test_a_wrong_file_is_named(made: Path, folder: str, values: Any, says: str) -> None:
    path = put(made, folder, values)
    with pytest.raises(DataError, match=says) as caught:
        first(made)
    assert str(path) in str(caught.value)
    data = PASCALContext(root=str(made), tasks=None)
    errors = [finding.text for finding in data.check() if finding.is_error]
    assert errors
    assert any(str(path) in text for text in errors)


@pytest.mark.parametrize("folder", ["JPEGImages", "human_parts", OBJECTS, "sal_distill"])
def test_a_truncated_file_is_named(made: Path, folder: str) -> None:
    path = next((made / folder).glob("a.*"))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=rf"{folder}/{path.name}"):
        first(made)


def test_compressed_files_that_are_cut_off_are_named(miniature: Path, tmp_path: Path) -> None:
    PASCALContext.write_miniature(tmp_path / "own")
    for folder in ("human_parts", OBJECTS):
        path = next((tmp_path / "own" / folder).glob("2008_000001.mat"))
        whole = path.read_bytes()
        for length in (0, 60, 140, len(whole) // 2, len(whole) - 5):
            path.write_bytes(whole[:length])
            with pytest.raises(DataError, match=folder):
                first(tmp_path / "own", size=[128, 128])
        path.write_bytes(whole)
    assert loadmat(path)["LabelMap"].shape == (75, 100)


def test_counts_that_do_not_match_name_folder_and_file(made: Path) -> None:
    (made / "sal_distill" / "b.png").unlink()
    data = PASCALContext(root=str(made))
    with pytest.raises(
        DataError, match=r"sal_distill` should hold a file for each of the 2.*`b\.png`"
    ):
        data.split("train")
    assert any("sal_distill" in finding.text for finding in data.check() if finding.is_error)
    assert len(PASCALContext(root=str(made), tasks=["normals"]).split("train")) == 2


def test_a_missing_copy_tells_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ImageSets/Context/train\.txt.*MTLRUN_DATA"):
        PASCALContext(root=str(tmp_path)).split("train")


def test_unknown_tasks_and_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="segmentation, human_parts, saliency, edges, normals"):
        PASCALContext(tasks=["depth"])
    with pytest.raises(ValueError, match=r"data\.size=\[HEIGHT,WIDTH\]"):
        PASCALContext(size=[512])
