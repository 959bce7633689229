"""The built-in rooms: what must hold of every picture, and of the cache."""

import logging
import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mtlrun.core.batch import Batch
from mtlrun.core.data import DataError
from mtlrun.core.seeding import seed_for
from mtlrun.data import _raycast
from mtlrun.data._raycast import Camera, Shape, directions, focal_length, nearest, surface
from mtlrun.data._scene_layout import CLASSES
from mtlrun.data.scenes import Rooms, Scenes, mirror

ALL = range(24)


def _scenes(**changes: object) -> Scenes:
    sizes = {"height": 32, "width": 48, "num_train": 24, "num_val": 3, "num_test": 5}
    return Scenes(**(sizes | changes))  # type: ignore[arg-type]  # mixed values


def _equal(a: Batch, b: Batch) -> bool:
    assert isinstance(a.inputs, Tensor)
    assert isinstance(b.inputs, Tensor)
    assert a.targets.keys() == b.targets.keys()
    same = [torch.equal(a.targets[task], b.targets[task]) for task in a.targets]
    return torch.equal(a.inputs, b.inputs) and all(same)


@pytest.fixture(scope="module")
def batch() -> Batch:
    return _scenes().split("train").fetch(ALL, seed=0)


def test_shapes_types_and_ranges(batch: Batch) -> None:
    images = batch.inputs
    assert isinstance(images, Tensor)
    assert (images.shape, images.dtype) == ((24, 3, 32, 48), torch.float32)
    assert images.min() >= 0
    assert images.max() <= 1
    assert images.std(dim=(1, 2, 3)).min() > 0.03  # none is plain
    for task in _scenes().tasks:
        target = batch.targets[task.name]
        channels = () if task.name == "segmentation" else (task.output.channels,)
        assert target.shape == (24, *channels, 32, 48)
        assert target.dtype == (torch.int64 if task.name == "segmentation" else torch.float32)
        assert target.isfinite().all()
    for name in ("edges", "keypoints"):
        assert batch.targets[name].min() >= 0
        assert batch.targets[name].max() <= 1
        assert batch.targets[name].mean() > 0.05


def test_depth_is_that_of_a_room(batch: Batch) -> None:
    assert batch.targets["depth"].min() > 0.15
    assert batch.targets["depth"].max() < 12


def test_normals_are_unit_vectors_that_face_the_camera(batch: Batch) -> None:
    normals = batch.targets["normals"]
    assert (normals.norm(dim=1) - 1).abs().max() < 1e-5
    rays = _rays(32, 48)
    assert (normals * rays).sum(dim=1).max() < 1e-4


def test_every_class_occurs() -> None:
    labels = _scenes(tasks=["segmentation"], num_train=60).split("train").fetch(range(60), seed=0)
    assert labels.targets["segmentation"].unique().tolist() == list(range(len(CLASSES)))


def _rays(height: int, width: int) -> Tensor:
    """[3, H, W] in the camera's frame: right, up, towards the viewer; 1 m along the axis."""
    focal = height / 2 / np.tan(np.radians(30))
    x = (torch.arange(width) + 0.5 - width / 2) / focal
    y = (height / 2 - torch.arange(height) - 0.5) / focal
    return torch.stack(
        [x.expand(height, -1), y[:, None].expand(-1, width), -torch.ones(height, width)]
    )


def test_normals_are_those_of_the_depth() -> None:
    """The plane through neighbouring points, found from depth alone, has the normal."""
    height, width = 48, 72
    found = _scenes(height=height, width=width).split("train").fetch(range(12), seed=0).targets
    points = _rays(height, width) * found["depth"].double()
    across = points[..., 1:-1, 2:] - points[..., 1:-1, :-2]
    along = points[..., 2:, 1:-1] - points[..., :-2, 1:-1]
    planes = torch.cross(across, along, dim=1)
    planes = -planes / planes.norm(dim=1, keepdim=True)
    normals = found["normals"].double()
    inner = normals[..., 1:-1, 1:-1]
    flat = torch.ones_like(inner[:, 0], dtype=torch.bool)
    for rows, columns in ((1, 0), (1, 2), (0, 1), (2, 1)):
        neighbour = normals[..., rows : rows + height - 2, columns : columns + width - 2]
        flat &= (neighbour - inner).abs().amax(dim=1) < 1e-4
        labels = found["segmentation"]
        there = labels[:, rows : rows + height - 2, columns : columns + width - 2]
        flat &= there == labels[:, 1:-1, 1:-1]
    cosines = (planes * inner).sum(dim=1)[flat]
    assert flat.float().mean() > 0.6
    assert (cosines > 1 - 1e-4).double().mean() > 0.99  # parallel faces of two things may meet


def test_images_depend_on_nothing_but_seed_split_and_index(batch: Batch) -> None:
    split = _scenes(num_train=30, tasks=None).split("train")
    order = [17, 3, 3, 0]
    parts = split.fetch(order, seed=9)
    for place, index in enumerate(order):
        assert _equal(parts[place : place + 1], batch[index : index + 1])


def test_splits_and_seeds_share_no_image() -> None:
    images = set()
    for seed in (0, 1):
        for name in ("train", "val", "test"):
            split = _scenes(seed=seed).split(name)  # type: ignore[arg-type]  # one of the names
            found = split.fetch(range(len(split)), seed=0).inputs
            assert isinstance(found, Tensor)
            images |= {image.numpy().tobytes() for image in found}
    assert len(images) == 2 * (24 + 3 + 5)


def test_edges_and_keypoints_come_from_the_image_alone(batch: Batch) -> None:
    from scipy import ndimage

    assert isinstance(batch.inputs, Tensor)
    luma = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    grey = (batch.inputs[0] * luma).sum(dim=0).double().numpy()
    expected = ndimage.gaussian_gradient_magnitude(grey, 1.0, truncate=3.0) / 0.12
    found = batch.targets["edges"][0, 0].numpy()
    np.testing.assert_allclose(found, expected.clip(max=1), atol=1e-5)
    smooth = ndimage.gaussian_filter(grey, 1.6)
    (yy, yx), (_, xx) = (np.gradient(part) for part in np.gradient(smooth))
    response = np.sqrt((xx * yy - yx**2).clip(0))
    similar = np.corrcoef(response.ravel(), batch.targets["keypoints"][0, 0].numpy().ravel())
    assert similar[0, 1] > 0.85  # differences against derivatives of the Gaussian


@pytest.mark.parametrize(("height", "width"), [(8, 8), (8, 40), (41, 17)])
def test_any_size_is_rendered(height: int, width: int) -> None:
    scenes = _scenes(height=height, width=width)
    found = scenes.split("val").fetch([2], seed=0)
    assert isinstance(found.inputs, Tensor)
    assert tuple(found.inputs.shape[1:]) == scenes.inputs.shape == (3, height, width)


def test_unwanted_tasks_are_left_out() -> None:
    scenes = _scenes(tasks=["normals", "depth"])
    assert [task.name for task in scenes.tasks] == ["normals", "depth"]
    assert set(scenes.split("val").fetch([0], seed=0).targets) == {"normals", "depth"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"height": 7}, "`height` should be at least 8. Found `height = 7`"),
        ({"num_val": 0}, "`num_val` should be at least 1"),
        ({"tasks": ["depht"]}, "segmentation, depth, normals, edges, keypoints"),
        ({"tasks": ["depth", "depth"]}, "each once"),
        ({"tasks": []}, "one or more"),
        ({"cache": "tape"}, "memory or disk"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _scenes(**changes)


def test_an_index_out_of_range_is_named() -> None:
    with pytest.raises(IndexError, match=r"0\.\.2. Found -1\.\.3"):
        _scenes().split("val").fetch([3, -1], seed=0)


def test_identity_is_about_what_is_in_the_images() -> None:
    plain = _scenes().identity()
    assert _scenes(cache="disk", cache_dir="elsewhere", tasks=["depth"]).identity() == plain
    assert _scenes(seed=1).identity() != plain
    assert _scenes(flip=True).identity() != plain


def test_mirrored_images_turn_their_normals(batch: Batch) -> None:
    assert isinstance(batch.inputs, Tensor)
    split = _scenes(flip=True).split("train")
    found = split.fetch(ALL, seed=5)
    assert isinstance(found.inputs, Tensor)
    flipped = [seed_for(5, str(index)) % 2 == 1 for index in ALL]
    assert 4 < sum(flipped) < 20
    for index, turned in zip(ALL, flipped, strict=True):
        image, normals = batch.inputs[index], batch.targets["normals"][index]
        if turned:
            image, normals = (
                image.flip(-1),
                normals.flip(-1) * torch.tensor([-1, 1, 1]).view(3, 1, 1),
            )
        assert torch.equal(found.inputs[index], image)
        assert torch.equal(found.targets["normals"][index], normals)
    parts = [split.fetch([index], seed=5) for index in (7, 2)]
    assert _equal(parts[0], found[7:8])
    assert _equal(parts[1], found[2:3])


def test_only_training_images_are_mirrored() -> None:
    found = [_scenes(flip=flip).split("val").fetch(range(3), seed=5) for flip in (True, False)]
    assert _equal(*found)


def test_mirroring_twice_changes_nothing(batch: Batch) -> None:
    chosen = torch.arange(24) % 2 == 0
    twice = mirror(mirror(batch.targets, chosen), chosen)
    assert all(torch.equal(twice[task], batch.targets[task]) for task in twice)


def test_a_copy_for_a_worker_is_small_and_fetches_the_same(batch: Batch) -> None:
    split = _scenes().split("train")
    split.fetch(ALL, seed=0)
    parcel = pickle.dumps(split)
    assert len(parcel) < 2000
    assert _equal(pickle.loads(parcel).fetch([4], seed=0), batch[4:5])


def _disk(folder: Path) -> Rooms:
    return _scenes(cache="disk", cache_dir=str(folder)).split("test")


def test_the_disk_cache_holds_what_is_rendered(tmp_path: Path) -> None:
    expected = _scenes().split("test").fetch(range(5), seed=0)
    assert _equal(_disk(tmp_path / "new").fetch(range(5), seed=0), expected)
    (file,) = (tmp_path / "new").iterdir()
    written = file.stat().st_mtime_ns
    assert _equal(_disk(tmp_path / "new").fetch(range(5), seed=0), expected)
    assert file.stat().st_mtime_ns == written


def test_other_settings_have_another_file(tmp_path: Path) -> None:
    for changes in ({}, {"seed": 1}, {"tasks": ["depth"]}, {"num_val": 2}, {"height": 33}):
        scenes = _scenes(cache="disk", cache_dir=str(tmp_path), **changes)
        scenes.split("val").fetch([0], seed=0)
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped", "other"])
def test_a_damaged_cache_file_is_made_anew(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    expected = _disk(tmp_path).fetch(range(5), seed=0)
    (file,) = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    whole = bytes(content)
    if damage == "truncated":
        del content[len(content) // 2 :]
    elif damage == "empty":
        content.clear()
    elif damage == "flipped":
        content[len(content) // 2] ^= 255
    if damage == "other":
        np.savez(file, image=np.zeros(3))
    else:
        file.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert _equal(_disk(tmp_path).fetch(range(5), seed=0), expected)
    assert "is damaged" in caplog.text
    assert len(file.read_bytes()) == len(whole)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("not a folder")
    with pytest.raises(DataError, match=r"should be writable.*data\.cache_dir"):
        _disk(occupied).fetch([0], seed=0)


def test_a_full_disk_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(DataError, match="No space left"):
        _disk(tmp_path).fetch([0], seed=0)
    assert not list(tmp_path.iterdir())


def _fetch_from_disk(folder: str) -> None:
    torch.set_num_threads(1)
    _disk(Path(folder)).fetch([0], seed=0)


@pytest.mark.slow
def test_two_processes_may_build_the_cache_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_fetch_from_disk, args=(str(tmp_path),)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert len(list(tmp_path.iterdir())) == 1
    expected = _scenes().split("test").fetch(range(5), seed=0)
    assert _equal(_disk(tmp_path).fetch(range(5), seed=0), expected)


def test_a_sphere_and_a_box_by_hand() -> None:
    """A camera in the middle of a room of 10 m looks along -z at a ball 3 m ahead, of radius 1."""
    camera = Camera.looking_at((0.0, 0.0, 0.0), (0.0, 0.0, -1.0), 0.0)
    room = Shape("room", (0.0, 0.0, 0.0), (5.0, 5.0, 5.0))
    rays = directions(camera, 9, 9)
    ball = Shape("sphere", (0.0, 0.0, -3.0), (1.0, 1.0, 1.0))
    depth, index = nearest([room, ball], camera, rays)
    assert depth[4, 4] == pytest.approx(2, abs=1e-6)
    assert depth[0, 0] == pytest.approx(5, abs=1e-5)  # the wall ahead, in depth and not in length
    assert (index[4, 4], index[0, 0]) == (1, 0)
    normals, _ = surface(ball, np.array([[0.0], [0.6], [-2.2]], np.float32))
    np.testing.assert_allclose(normals[:, 0], [0, 0.6, 0.8], atol=1e-6)
    turned = Shape("box", (0.0, 0.0, -3.0), (1.0, 1.0, 1.0), yaw=np.pi / 4)
    depth, _ = nearest([room, turned], camera, rays)
    assert depth[4, 4] == pytest.approx(3 - 2**0.5, abs=1e-5)


def test_a_cylinder_is_seen_from_above_and_from_the_side() -> None:
    can = Shape("cylinder", (0.0, 1.0, 0.0), (0.5, 1.0, 0.5))
    origin = (0.0, 4.0, 3.0)
    rays = np.array([[0.0, 0.0], [-2.0, -3.0], [-2.6, -2.5]], np.float32)
    near, _ = _raycast.interval(can, origin, rays)
    points = np.array(origin, np.float32)[:, None] + near * rays
    np.testing.assert_allclose(points[:, 0], [0, 2, 0.4], atol=1e-5)  # the lid
    np.testing.assert_allclose(points[:, 1], [0, 1, 0.5], atol=1e-5)  # the side
    normals, _ = surface(can, points)
    np.testing.assert_allclose(normals.T, [[0, 1, 0], [0, 0, 1]], atol=1e-6)


def test_what_is_out_of_its_window_is_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    windowed = _scenes().split("train").fetch(ALL, seed=0)
    everywhere = (slice(0, 32), slice(0, 48))
    monkeypatch.setattr(_raycast, "_windows", lambda shapes, *_: [everywhere] * len(shapes))
    assert _equal(_scenes().split("train").fetch(ALL, seed=0), windowed)


def test_the_focal_length_is_that_of_60_degrees() -> None:
    assert focal_length(64) == pytest.approx(32 * 3**0.5)
