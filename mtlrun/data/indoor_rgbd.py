"""Indoor pictures with measured depth and normals, in one archive."""

import zipfile
import zlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from mtlrun.core.data import DataError, SplitName
from mtlrun.core.seeding import seed_for
from mtlrun.data._dense_source import DenseSource
from mtlrun.data._miniature import refuse_copy
from mtlrun.data._raycast import Array
from mtlrun.data._scene_render import render
from mtlrun.tasks.depth import depth
from mtlrun.tasks.normals import normals

FILE = "indoor_rgbd_mini.npz"
ARRAYS = {"image": "rgb", "depth": "depth_m", "normals": "normals_from_depth"}
HELD_OUT = {  # no room and no table of these is among the others
    "val": ("uoc_04", "uoc_05", "uoc_06", "sunrgbd_img_0063"),
    "test": ("nyuv2_0464", "uoc_07", "uoc_08", "sunrgbd_0000144"),
}


class IndoorRGBD(DenseSource):
    """21 real pictures of rooms and tables with depth and normals; 13 to train on, 4 and 4 held out.

    The file root/indoor_rgbd_mini.npz holds, one row a picture, `id`, `rgb` [N, H, W, 3] uint8, `depth_m`
    [N, H, W] in metres with 0 for invalid, and `normals_from_depth` [N, H, W, 3], to the right, downwards and
    forwards, with (0, 0, 0) for invalid. Ids of the validation and of the test split are fixed; all
    others are trained on.

    Args:
        root: The folder; None for `data/indoor_rgbd`.
        tasks: The names of those to keep, in the order of tables; None for all.
        augment: Whether training pictures are enlarged (depth divided by it) and mirrored (normals
            too).

    Raises:
        ValueError: If a task is unknown.
    """

    def __init__(
        self,
        *,
        root: str | None = None,
        tasks: Sequence[str] | None = None,
        augment: bool = False,
    ) -> None:
        own = (depth(), normals())
        super().__init__(
            "indoor_rgbd", own, root=root, tasks=tasks, size=(240, 320), augment=augment
        )

    def examples(self, split: SplitName) -> list[str]:
        """The ids of a split."""
        ids = [str(own) for own in self._arrays["id"]]
        held = {own for names in HELD_OUT.values() for own in names}
        if not held < set(ids):
            raise DataError(
                f"`{self.root / FILE}` should hold the pictures {', '.join(sorted(held))} and others. "
                f"Found {', '.join(ids)}. Get the file anew."
            )
        return list(HELD_OUT.get(split, [own for own in ids if own not in held]))

    def read(self, example: str) -> dict[str, Array]:
        """A picture, its depth and its normals."""
        row = list(self._arrays["id"]).index(example)
        found = {name: self._arrays[key][row] for name, key in ARRAYS.items()}
        return found | {"depth": found["depth"][..., None]}

    def path(self, example: str, name: str) -> Path:
        """The archive."""
        return self.root / FILE

    @cached_property
    def _arrays(self) -> dict[str, Array]:
        path = self.root / FILE
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                return {key: archive[key] for key in ("id", *ARRAYS.values())}
        except FileNotFoundError as error:
            raise self.missing(FILE) from error
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(
                f"`{path}` should be a whole npz file with id, {', '.join(ARRAYS.values())}. Found: "
                f"{error}. Get the file anew."
            ) from error

    @classmethod
    def write_miniature(cls, folder: Path) -> None:
        """8, 4 and 4 rendered rooms of 60x80 pixels, under the ids that are held out and others.

        Raises:
            ValueError: If the folder holds a copy already.
        """
        refuse_copy(folder / FILE, "indoor_rgbd")
        ids = [f"room_{k}" for k in range(8)] + [
            own for names in HELD_OUT.values() for own in names
        ]
        rooms = [render(seed_for(0, f"indoor_rgbd/{own}"), 60, 80) for own in ids]
        turn = np.array([1, -1, -1])  # rooms have normals upwards and towards the viewer
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            folder / FILE,
            id=np.array(ids),
            rgb=np.stack([room.image.transpose(1, 2, 0) for room in rooms]),
            depth_m=np.stack([room.depth for room in rooms]),
            normals_from_depth=np.stack(
                [(room.normals.transpose(1, 2, 0) * turn).astype(np.float16) for room in rooms]
            ),
        )
