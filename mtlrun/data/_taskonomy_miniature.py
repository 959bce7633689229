"""A small copy of Taskonomy's layouts, from rendered rooms."""

from pathlib import Path

import numpy as np
from PIL import Image

from mtlrun.core.seeding import seed_for
from mtlrun.data._image_maps import edges_of, keypoints_of
from mtlrun.data._miniature import refuse_copy
from mtlrun.data._raycast import Array, focal_length, pixel_rays
from mtlrun.data._scene_layout import CLASSES
from mtlrun.data._scene_render import Picture, render
from mtlrun.data._taskonomy_files import CSV_FILE, SPLITS, Files, Layout, View
from mtlrun.data._taskonomy_targets import DOMAINS, MISSING_DEPTH

SIZE = 64
BUILDINGS = {
    "train": ("allensville", "mifflinburg"), "val": ("collierville",), "test": ("noxapater",),
}  # fmt: skip
VIEWS = 7  # of a building
UNITS_A_METRE = 512
LAYOUTS: tuple[Layout, ...] = ("a", "b")


def write(folder: Path) -> None:
    """Writes pictures of all domains and the lists of buildings, in both layouts.

    Raises:
        ValueError: If the folder holds a copy already.
    """
    refuse_copy(folder / "rgb", "Taskonomy")
    for names in BUILDINGS.values():
        for building in names:
            for number in range(VIEWS):
                view = View(building, number // 2, number % 2)
                picture = render(seed_for(0, f"taskonomy/{view}"), SIZE, SIZE)
                _write_view(folder, view, _maps(picture))
    rows = ["id,train,val,test"]
    for split, names in BUILDINGS.items():
        _write_lines(folder / f"{split}_models.txt", names)
        rows += [",".join([own, *("1" if split == s else "0" for s in SPLITS)]) for own in names]
    _write_lines(folder / CSV_FILE, rows)


def _write_view(folder: Path, view: View, maps: dict[str, Array]) -> None:
    for domain, values in maps.items():
        picture = Image.fromarray(values)
        for layout in LAYOUTS:
            path = Files(folder, layout).picture(domain, view)
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)


def _maps(picture: Picture) -> dict[str, Array]:
    """What the files of each domain hold: [H, W] or [H, W, 3], uint8 or uint16.

    Windows have no depth, as in the real pictures.
    """
    right, up = pixel_rays(SIZE, SIZE)
    depth = picture.depth.astype(np.float64)
    undefined = picture.segmentation == CLASSES.index("window")
    near = _bytes(np.repeat(np.clip(1 - depth / 8, 0, 1)[None], 3, axis=0))
    facing = np.clip(picture.normals[2], 0, 1)
    maps = {
        "rgb": picture.image.transpose(1, 2, 0),
        "segment_semantic": np.where(
            picture.segmentation == CLASSES.index("lamp"), 0, picture.segmentation + 1
        ),
        "depth_zbuffer": depth * UNITS_A_METRE,
        "depth_euclidean": depth * np.sqrt(1 + right**2 + up**2) * UNITS_A_METRE,
        "normal": _bytes((picture.normals + 1) / 2).transpose(1, 2, 0),
        "keypoints2d": keypoints_of(picture.image) * 600,
        "keypoints3d": keypoints_of(near) * 40_000,
        "edge_texture": edges_of(picture.image) * 9_000,
        "edge_occlusion": np.clip(_steps(depth) - 0.05, 0, 1) * 1_200,
        "principal_curvature": _curvature(picture).transpose(1, 2, 0),
        "reshading": _bytes(np.repeat(facing[None], 3, axis=0)).transpose(1, 2, 0),
        "segment_unsup2d": (picture.image // 64 * np.array([1, 4, 16])[:, None, None]).sum(axis=0)
        * 4,
        "segment_unsup25d": picture.segmentation.astype(np.int64) * 16 + near[0] // 32,
    }
    for domain in ("depth_zbuffer", "depth_euclidean"):
        maps[domain] = np.where(undefined, MISSING_DEPTH, maps[domain])
    maps["normal"] = np.where(undefined[..., None], 128, maps["normal"])
    return {
        domain: np.ascontiguousarray(values).astype(
            np.uint16 if domain != "rgb" and DOMAINS[domain].bits == 16 else np.uint8
        )
        for domain, values in maps.items()
    }


def _steps(depth: Array) -> Array:
    """How far depth jumps to the pixel above or to the left, as a share."""
    down = np.abs(np.diff(np.log(depth), axis=0, prepend=np.log(depth[:1])))
    across = np.abs(np.diff(np.log(depth), axis=1, prepend=np.log(depth[:, :1])))
    steps: Array = np.maximum(down, across)
    return steps


def _curvature(picture: Picture) -> Array:
    """[3, H, W] uint8: both eigenvalues of how normals turn along the surface, per metre, then zeros."""
    metres = picture.depth / focal_length(SIZE)
    x, y = picture.normals[0], picture.normals[1]
    along_x, along_y = np.gradient(x, axis=1) / metres, -np.gradient(y, axis=0) / metres
    mixed = (np.gradient(y, axis=1) - np.gradient(x, axis=0)) / metres / 2
    middle = (along_x + along_y) / 2
    spread = np.hypot((along_x - along_y) / 2, mixed)
    both = np.stack([middle + spread, middle - spread, np.zeros_like(middle)])
    return _bytes(np.clip(both / 20, -1, 1) / 2 + 0.5)


def _bytes(shares: Array) -> Array:
    rounded: Array = np.rint(shares * 255).astype(np.uint8)
    return rounded


def _write_lines(path: Path, lines: tuple[str, ...] | list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
