import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mtlrun.core.data import DataError
from mtlrun.data._taskonomy_files import CSV_FILE, Files, View
from mtlrun.data._taskonomy_targets import DOMAINS, ELEVEN, FIVE
from mtlrun.data.taskonomy import Taskonomy

LAYOUTS = ("a", "b")
SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "taskonomy"
    Taskonomy.write_miniature(folder)
    return folder


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A building of two 2x3 pictures a split, layout b; 100 in every file."""
    for split in SPLITS:
        (tmp_path / f"{split}_models.txt").write_text(f"{split}house\n")
        for number in (10, 9):
            for domain in ("rgb", *DOMAINS):
                put(tmp_path, domain, 10 if domain == "segment_semantic" else 100, split, number)
    return tmp_path


def put(root: Path, domain: str, values: Any, split: str = "train", number: int = 9) -> Path:
    """Writes a file whose pixels hold a number, or an array."""
    own = DOMAINS.get(domain)
    kind = np.uint16 if own is not None and own.bits == 16 else np.uint8
    shape = (2, 3) if own is not None and own.channels == 1 else (2, 3, 3)
    path = Files(root, "b").picture(domain, View(f"{split}house", 0, number))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.broadcast_to(np.asarray(values), shape).astype(kind)).save(path)
    return path


def target(root: Path, domain: str, scaling: Any = "b", **others: Any) -> torch.Tensor:
    """Of the first training picture."""
    data = Taskonomy(root=str(root), scaling=scaling, tasks=[domain], **({"size": 2} | others))
    return data.split("train").fetch([0], seed=0).targets[domain][0]


def as_layout_a(root: Path) -> Path:
    """The same files in layout a."""
    for domain in ("rgb", *DOMAINS):
        for building in list((root / domain).iterdir()):
            (root / domain / "taskonomy").mkdir(exist_ok=True)
            building.rename(root / domain / "taskonomy" / building.name)
    path = root / CSV_FILE
    path.parent.mkdir()
    path.write_text("id,train,val,test\ntrainhouse,1,0,0\nvalhouse,0,1,0\ntesthouse,0,0,1\n")
    return root


@pytest.mark.parametrize("layout", LAYOUTS)
def test_miniature_reads_back_in_both_layouts(miniature: Path, layout: Any) -> None:
    tasks = list(DOMAINS)
    data = Taskonomy(root=str(miniature), layout=layout, scaling=layout, tasks=tasks, size=32)
    assert [len(data.split(name)) for name in SPLITS] == [14, 7, 7]  # type: ignore[arg-type]  # literals
    batch = data.split("train").fetch([0, 9], seed=0)
    assert isinstance(batch.inputs, torch.Tensor)
    assert batch.inputs.shape == (2, 3, 32, 32)
    assert list(batch.targets) == tasks
    for task in data.tasks:
        own = batch.targets[task.name]
        channels = () if task.name == "segment_semantic" else (task.output.channels,)
        assert own.shape == (2, *channels, 32, 32)
        assert own.float().nan_to_num(0).std() > 0.05, task.name
        loss = task.loss(torch.zeros(2, task.output.channels, 32, 32), own)
        assert loss.isfinite(), task.name
        assert loss > 0, task.name


@pytest.mark.parametrize("layout", LAYOUTS)
def test_miniature_has_no_faults_to_find(miniature: Path, layout: Any) -> None:
    data = Taskonomy(root=str(miniature), layout=layout)
    found = list(data.check())
    assert not [f.text for f in found if f.is_error]
    assert any("`depth_zbuffer`: 28 of 1x64x64" in f.text for f in found)


def test_miniature_overwrites_nothing(made: Path) -> None:
    with pytest.raises(ValueError, match="without a copy of Taskonomy"):
        Taskonomy.write_miniature(made)


def test_metrics_of_the_five_tasks_are_the_columns_of_dsmtls_table(tmp_path: Path) -> None:
    # Golden: the columns of Table 4 of Deep Safe Multi-Task Learning.
    found = {task.name: list(task.metrics) for task in Taskonomy(root=str(tmp_path)).tasks}
    assert found == {
        "segment_semantic": ["miou", "pixel_error"],
        "depth_zbuffer": ["abs_error", "rel_error"],
        "normal": ["mean_angle", "median_angle", "within_11", "within_22", "within_30"],
        "keypoints2d": ["abs_error"],
        "edge_texture": ["abs_error"],
    }


def test_five_and_eleven_tasks_are_the_papers() -> None:
    assert [task.name for task in Taskonomy().tasks] == list(FIVE)
    assert [task.name for task in Taskonomy(tasks="eleven").tasks] == list(ELEVEN)
    assert len(ELEVEN) == 11


def test_null_means_all_tasks() -> None:
    assert {task.name for task in Taskonomy(tasks=None).tasks} == {*FIVE, *ELEVEN}


@pytest.mark.parametrize(
    ("domain", "scaling", "number", "expected"),
    [
        # By hand from algorithms.md 9.5.
        ("depth_zbuffer", "a", 40_000, math.log(40_001) / math.log(65_536)),
        ("depth_zbuffer", "b", 4_000, 2.5),
        ("depth_euclidean", "b", 500, -1.0),
        ("keypoints2d", "a", 164, 164 / 327.68 * 2 - 1),
        ("keypoints2d", "a", 9_000, 1.0),
        ("keypoints2d", "b", 350, 3.0),
        ("keypoints3d", "a", 32_768, 0.0),
        ("edge_texture", "a", 1_000, 1_000 / 5_242.88 * 2 - 1),
        ("edge_texture", "b", 1_788, 1.0),
        ("edge_occlusion", "a", 100, 100 / 409.6 * 2 - 1),
        ("edge_occlusion", "b", 500, (500 - 56.0248) / 239.1265),
        ("normal", "a", 255, 1.0),
        ("normal", "b", 51, -0.6),
        ("reshading", "a", 51, -0.6),
        ("reshading", "b", 255, (1 - 0.4962) / 0.2846),
        ("segment_unsup2d", "a", 0, -1.0),
        ("principal_curvature", "a", 200, [(200 - 123.572) / 31.922, (200 - 120.1) / 21.658]),
        ("principal_curvature", "b", 51, [(0.2 - 0.5175) / 0.1373, (0.2 - 0.4987) / 0.0359]),
    ],
)  # fmt: skip
def test_scalings_are_those_of_the_programs(
    made: Path, domain: str, scaling: str, number: int, expected: Any
) -> None:
    put(made, domain, number)
    found = target(made, domain, scaling)
    wanted = torch.as_tensor(expected).float().reshape(-1, 1, 1)
    torch.testing.assert_close(found, wanted.expand_as(found), rtol=1e-5, atol=1e-5)


def test_the_layout_does_not_count_in_the_identity_and_the_scaling_does(miniature: Path) -> None:
    own, layout, scaling = (
        Taskonomy(root=str(miniature), **others).identity()
        for others in ({}, {"layout": "a"}, {"scaling": "b"})
    )
    assert own == layout != scaling


def test_numbers_of_16_bits_are_not_shortened(made: Path) -> None:
    put(made, "depth_zbuffer", 8_191)
    assert float(target(made, "depth_zbuffer").max()) == pytest.approx((8_191 - 1500) / 1000)


def test_labels_begin_at_1_and_0_is_ignored(made: Path) -> None:
    put(made, "segment_semantic", [[0, 1, 17], [5, 5, 5]])
    found = target(made, "segment_semantic", size=2)
    assert found.dtype == torch.int64
    assert found.tolist() == [[255, 16], [4, 4]]  # columns 0 and 2 are nearest


def test_geometric_maps_are_undefined_where_depth_is_in_scaling_b(made: Path) -> None:
    put(made, "depth_zbuffer", [[8_192, 0, 65_535], [8_191, 1, 1]])
    for domain in ("depth_zbuffer", "reshading", "keypoints3d"):
        known = ~target(made, domain).isnan()
        assert known.tolist() == [[[False, False], [True, True]]] * len(known), domain
    assert target(made, "edge_texture").isfinite().all()
    assert (target(made, "normal") != 0).any(dim=0).tolist() == [[False, False], [True, True]]


def test_undefined_depth_and_normals_are_0_in_scaling_a(made: Path) -> None:
    put(made, "depth_zbuffer", [[65_535, 0, 9_000], [9_000, 1, 1]])
    put(made, "normal", [[[128, 127, 128], [0, 0, 0], [0, 127, 128]]])
    root = made
    assert (target(root, "depth_zbuffer", "a") > 0).tolist() == [[[False, True], [True, True]]]
    assert (target(root, "normal", "a") != 0).any(dim=0).tolist() == [[False, True]] * 2
    assert target(root, "reshading", "a").isfinite().all()


def test_a_target_does_not_depend_on_the_other_tasks(miniature: Path) -> None:
    for scaling in ("a", "b"):
        arguments: dict[str, Any] = {"root": str(miniature), "scaling": scaling, "size": 16}
        every = Taskonomy(tasks="eleven", **arguments).split("test").fetch([3], seed=0).targets
        for name in ELEVEN:
            alone = Taskonomy(tasks=[name], **arguments).split("test").fetch([3], seed=0).targets
            assert torch.equal(alone[name].nan_to_num(9), every[name].nan_to_num(9)), (
                scaling,
                name,
            )


def test_flipped_pictures_have_flipped_maps_and_negated_normals(miniature: Path) -> None:
    tasks = ["normal", "depth_zbuffer", "segment_semantic"]
    arguments: dict[str, Any] = {"root": str(miniature), "tasks": tasks, "size": 16}
    plain = Taskonomy(**arguments).split("train").fetch(range(14), seed=5)
    turned = Taskonomy(flip=True, **arguments).split("train").fetch(range(14), seed=5)
    assert isinstance(plain.inputs, torch.Tensor)
    assert isinstance(turned.inputs, torch.Tensor)
    flipped = [k for k in range(14) if not torch.equal(plain.inputs[k], turned.inputs[k])]
    assert 2 < len(flipped) < 12
    for k in flipped:
        assert torch.equal(turned.inputs[k], plain.inputs[k].flip(-1))
        for task in tasks:
            expected = plain.targets[task][k].flip(-1)
            if task == "normal":
                expected[0] = -expected[0]
            assert torch.equal(turned.targets[task][k].nan_to_num(9), expected.nan_to_num(9)), task
    others = Taskonomy(flip=True, **arguments).split("val").fetch(range(7), seed=5)
    kept = Taskonomy(**arguments).split("val").fetch(range(7), seed=5)
    assert torch.equal(others.targets["normal"], kept.targets["normal"])


def test_pictures_are_reduced_and_never_enlarged(miniature: Path, made: Path) -> None:
    tasks = ["segment_semantic"]
    whole, small = (Taskonomy(root=str(miniature), tasks=tasks, size=size) for size in (256, 32))
    assert (whole.inputs.shape, small.inputs.shape) == ((3, 64, 64), (3, 32, 32))
    batch = whole.split("train").fetch([0], seed=0)
    assert batch.targets["segment_semantic"].shape == (1, 64, 64)
    assert whole.identity() == Taskonomy(root=str(miniature), tasks=tasks, size=64).identity()
    assert whole.identity() != small.identity()
    assert Taskonomy(root=str(made)).inputs.shape == (3, 2, 2)  # of 2x3 pictures
    assert Taskonomy(root=str(made / "nowhere")).inputs.shape == (3, 256, 256)


def test_views_are_in_the_order_of_their_numbers(made: Path) -> None:
    assert [view.view for view in Taskonomy(root=str(made)).split("val").views] == [9, 10]


def test_segmentation_files_may_have_either_name(made: Path) -> None:
    path = Files(made, "b").picture("segment_semantic", View("trainhouse", 0, 9))
    path.rename(path.with_name(path.name.replace("segment_semantic", "segmentsemantic")))
    assert target(made, "segment_semantic").tolist() == [[9, 9], [9, 9]]


def test_validation_is_limited_a_building_and_may_be_trained_on(miniature: Path) -> None:
    data = Taskonomy(root=str(miniature), val_per_building=3, train_on_val=True)
    assert [len(data.split(name)) for name in SPLITS] == [21, 3, 7]  # type: ignore[arg-type]  # literals
    assert [(v.point, v.view) for v in data.split("val").views] == [(0, 0), (1, 0), (2, 0)]


def test_identity_follows_the_pictures_and_not_the_folder(made: Path) -> None:
    before = Taskonomy(root=str(made)).identity()
    assert Taskonomy(root=str(made), tasks=["normal"], exclude=["x"]).identity() == before
    assert Taskonomy(root=str(made), size=1).identity() != before
    put(made, "rgb", 3, "train", 11)
    assert Taskonomy(root=str(made)).identity() != before


@pytest.mark.parametrize("domain", ["rgb", "edge_texture"])
def test_mended_files_are_another_dataset(made: Path, domain: str) -> None:
    before = Taskonomy(root=str(made)).identity()
    path = Files(made, "b").picture(domain, View("valhouse", 0, 10))
    path.write_bytes(path.read_bytes() + b" ")
    assert Taskonomy(root=str(made)).identity() != before


def test_splits_and_excluded_buildings_come_from_elsewhere(made: Path, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    for split, own in zip(SPLITS, ("val", "test", "train"), strict=True):
        (lists / f"{split}_models.txt").write_text(
            f"{own}house\nnowhere\n" if split == "val" else f"{own}house"
        )
    data = Taskonomy(root=str(made), splits=str(lists), exclude=["nowhere"])
    assert data.split("val").views[0].building == "testhouse"
    with pytest.raises(DataError, match=r"names the building `nowhere`.*data.exclude"):
        Taskonomy(root=str(made), splits=str(lists)).split("val")
    with pytest.raises(DataError, match=r"Split `test` of .* should name buildings"):
        Taskonomy(root=str(made), exclude=["testhouse"]).split("train")


def test_a_missing_file_is_an_error_that_names_it(made: Path) -> None:
    Files(made, "b").picture("normal", View("trainhouse", 0, 9)).unlink()
    with pytest.raises(DataError, match=r"point_0_view_9_domain_normal.png` should be a picture"):
        target(made, "normal")
    errors = [f.text for f in Taskonomy(root=str(made)).check() if f.is_error]
    others = [
        error for error in errors if "shortened to 8 bits" not in error
    ]  # all of this made copy is
    assert len(others) == 1
    assert "domain_normal.png" in others[0]


def test_files_shortened_to_8_bits_are_found(made: Path) -> None:
    data = Taskonomy(root=str(made), tasks=list(DOMAINS))
    long = [domain for domain, own in DOMAINS.items() if own.bits == 16]
    for domain in long:
        put(made, domain, 256, "val", 10)  # one is enough for a building
    errors = [finding.text for finding in data.check() if finding.is_error]
    assert len(long) == 6
    assert len(errors) == 2 * len(long)
    for domain in long:
        for building in ("trainhouse", "testhouse"):
            folder = f"`{made / domain / building}`"
            assert any(folder in e and "Found none above 100" in e for e in errors), folder


def test_all_missing_buildings_are_named_and_the_others_checked(made: Path) -> None:
    for number, split in enumerate(SPLITS):
        with (made / f"{split}_models.txt").open("a") as file:
            file.writelines(f"gone{number}{k}\n" for k in range(3))
    Files(made, "b").picture("normal", View("valhouse", 0, 9)).unlink()
    text = "\n".join(
        f.text for f in Taskonomy(root=str(made), train_on_val=True).check() if f.is_error
    )
    for number in range(len(SPLITS)):
        for k in range(3):
            assert text.count(f"`gone{number}{k}`") == 1
    assert "point_0_view_9_domain_normal.png" in text


def test_a_missing_domain_is_named_before_training(made: Path) -> None:
    folder = Files(made, "b").folder("edge_texture", "valhouse")
    folder.rename(folder.with_name("elsewhere"))
    data = Taskonomy(root=str(made))
    assert len(data.split("train")) == 2
    with pytest.raises(DataError, match=r"edge_texture/valhouse` should hold the maps"):
        data.split("val")


def test_a_truncated_file_is_named(miniature: Path, tmp_path: Path, made: Path) -> None:
    whole = Files(miniature, "b").picture("depth_zbuffer", View("noxapater", 0, 0)).read_bytes()
    path = Files(made, "b").picture("depth_zbuffer", View("trainhouse", 0, 9))
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        DataError, match=r"view_9_domain_depth_zbuffer.png` should be a whole picture"
    ):
        target(made, "depth_zbuffer")


def test_labels_and_channels_that_cannot_be_are_named(made: Path) -> None:
    put(made, "segment_semantic", 18)
    with pytest.raises(DataError, match=r"semantic.png` should hold labels 0..17. Found label 18"):
        target(made, "segment_semantic")
    path = Files(made, "b").picture("normal", View("trainhouse", 0, 9))
    Image.fromarray(np.zeros((2, 3), np.uint8)).save(path)
    with pytest.raises(DataError, match=r"normal.png` should have at least 3 channel.*Found 1"):
        target(made, "normal")
    errors = " ".join(f.text for f in Taskonomy(root=str(made)).check() if f.is_error)
    assert "labels 0..17. Found 18" in errors
    assert "at least 3 channel(s). Found 1" in errors


def test_unknown_tasks_are_answered_with_near_ones() -> None:
    with pytest.raises(ValueError, match=r"Found `normals`. Did you mean `normal`"):
        Taskonomy(tasks=["normals"])


@pytest.mark.parametrize(
    "arguments",
    [
        {"tasks": []},
        {"tasks": ["normal", "normal"]},
        {"tasks": "ten"},
        {"size": 0},
        {"layout": "c"},
    ],
)
def test_impossible_settings_are_refused(arguments: Any) -> None:
    with pytest.raises(ValueError, match=r"should (be|name)"):
        Taskonomy(**arguments)


def test_a_missing_folder_says_what_should_be_in_it(tmp_path: Path) -> None:
    for layout in ("a", "b"):
        data = Taskonomy(root=str(tmp_path / "nowhere"), layout=layout)  # type: ignore[arg-type]
        with pytest.raises(DataError, match=r"train_models.txt.*data.root"):
            data.split("train")
        (finding,) = data.check()
        assert finding.is_error


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,train,test\n", "should name the columns id, train, val, test"),
        ("id,train,val,test\ntrainhouse,1,0\n", "Line 2 of .*0 or 1 for train, val, test"),
        ("id,train,val,test\ntrainhouse,1,0,2\n", "Line 2 of .*Found `trainhouse,1,0,2`"),
        ("id,train,val,test\ntrainhouse,1,0,1\n", "Found `trainhouse` in `train` and in `test`"),
    ],
)
def test_faults_of_the_split_file_are_named(made: Path, text: str, message: str) -> None:
    root = as_layout_a(made)
    (root / CSV_FILE).write_text(text)
    with pytest.raises(DataError, match=message):
        Taskonomy(root=str(root), layout="a").split("train")
