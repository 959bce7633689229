"""Built-in pictures of rooms with five dense tasks: nothing to download."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from mtlrun.core.batch import Batch
from mtlrun.core.data import DataSource, InputSpec, SplitName
from mtlrun.core.seeding import seed_for
from mtlrun.core.task import Task
from mtlrun.data._image_maps import edges_of, keypoints_of
from mtlrun.data._raycast import Array
from mtlrun.data._scene_cache import cached
from mtlrun.data._scene_layout import CLASSES
from mtlrun.data._scene_render import Picture, render
from mtlrun.tasks.depth import depth
from mtlrun.tasks.edges import edges
from mtlrun.tasks.keypoints import keypoints
from mtlrun.tasks.normals import normals
from mtlrun.tasks.segmentation import segmentation

RENDERER = 1  # another number for every change that moves a pixel
SMALLEST = 8

TARGETS: Mapping[str, Callable[[Picture], Array]] = {
    "segmentation": lambda picture: picture.segmentation,
    "depth": lambda picture: picture.depth[None],
    "normals": lambda picture: picture.normals,
    "edges": lambda picture: edges_of(picture.image)[None],
    "keypoints": lambda picture: keypoints_of(picture.image)[None],
}


class Scenes(DataSource):
    """Rooms with furniture, rendered by ray casting when they are first asked for.

    Inputs are RGB [3, H, W] in 0..1. The camera's vertical field of view is 60 degrees; pixels are
    square and the optical axis goes through the image's middle. Tasks, of float32 targets but for
    the first:

    - segmentation: int64 [H, W], 14 classes: wall, floor, ceiling, window, door, picture, rug,
      cabinet, table, crate, ball, column, bin, lamp;
    - depth: [1, H, W], metres along the optical axis (not along the ray), of every pixel's centre;
    - normals: [3, H, W], unit vectors in the camera's frame (to the right, upwards, towards the
      viewer) that face the camera;
    - edges: [1, H, W] in 0..1, the length of the smoothed grey image's gradient;
    - keypoints: [1, H, W] in 0..1, a corner and blob detector's response, from the Hessian.

    An image depends on nothing but seed, split, index and size.

    Args:
        height: H, pixels.
        width: W, pixels.
        num_train: Images of the training split.
        num_val: Of the validation split.
        num_test: Of the test split.
        tasks: The names of those to keep, in the order of tables; None for all.
        seed: Of the rooms.
        flip: Whether training images are mirrored, half of them in every epoch.
        cache: Where images are kept: each in memory once it was rendered, or a whole split at once
            in a file, which later runs read.
        cache_dir: The folder of the files; None for ~/.cache/mtlrun/scenes.

    Raises:
        ValueError: If sizes are too small or a task is unknown.
    """

    def __init__(
        self,
        *,
        height: int = 64,
        width: int = 96,
        num_train: int = 800,
        num_val: int = 100,
        num_test: int = 200,
        tasks: Sequence[str] | None = None,
        seed: int = 0,
        flip: bool = False,
        cache: Literal["memory", "disk"] = "memory",
        cache_dir: str | None = None,
    ) -> None:
        for name, size in (("height", height), ("width", width)):
            _at_least(name, size, SMALLEST)
        self._sizes = {"train": num_train, "val": num_val, "test": num_test}
        for split, size in self._sizes.items():
            _at_least(f"num_{split}", size, 1)
        if cache not in ("memory", "disk"):
            raise ValueError(
                f"`cache` should be memory or disk. Found `cache = {cache}`. Set data.cache."
            )
        self.tasks = _chosen(tasks)
        self.inputs = InputSpec("image", (3, height, width))
        self.seed, self.flip = seed, flip
        folder = cache_dir if cache_dir is not None else "~/.cache/mtlrun/scenes"
        self._folder = Path(folder).expanduser() if cache == "disk" else None

    def identity(self) -> dict[str, Any]:
        """Where images are kept does not count; which tasks there are is the training's to tell."""
        own = super().identity()
        for name in ("tasks", "cache", "cache_dir"):
            del own[name]
        return own | {"renderer": RENDERER}

    def split(self, name: SplitName) -> "Rooms":
        """The images of a split; none is rendered yet."""
        return Rooms(
            name,
            size=self._sizes[name],
            shape=self.inputs.shape[1:],
            tasks=tuple(task.name for task in self.tasks),
            seed=self.seed,
            flip=self.flip and name == "train",
            folder=self._folder,
        )


class Rooms:
    """The images of one split. A copy in another process renders or reads its own.

    Args:
        split: Its name.
        size: How many images.
        shape: Height and width.
        tasks: Names of those with targets.
        seed: Of the rooms.
        flip: Whether half of the images are mirrored.
        folder: Of the cache file; None to keep images in memory only.
    """

    def __init__(
        self,
        split: SplitName,
        *,
        size: int,
        shape: tuple[int, ...],
        tasks: Sequence[str],
        seed: int,
        flip: bool,
        folder: Path | None,
    ) -> None:
        self.split, self.size, self.shape = split, size, tuple(shape)
        self.tasks, self.seed, self.flip, self.folder = tuple(tasks), seed, flip, folder

    def __len__(self) -> int:
        return self.size

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_kept"}

    def fetch(self, indices: Sequence[int], *, seed: int) -> Batch:
        """Images and targets; those not kept yet are rendered.

        Args:
            indices: Which, 0 to the split's length less 1.
            seed: Of the choice of mirrored images.

        Raises:
            IndexError: If an index is out of range.
            DataError: If the cache file cannot be written.
        """
        rows = np.asarray(indices, dtype=np.int64)
        if rows.size and not (rows.min() >= 0 and rows.max() < self.size):
            raise IndexError(
                f"Indices of split `{self.split}` should be 0..{self.size - 1}. "
                f"Found {rows.min()}..{rows.max()}."
            )
        arrays, done = self._kept
        for index in rows[~done[rows]].tolist():
            self._render(index, arrays)
            done[index] = True
        chosen = {name: torch.from_numpy(array[rows]) for name, array in arrays.items()}
        if self.flip:
            mirrored = [seed_for(seed, str(index)) % 2 == 1 for index in rows.tolist()]
            chosen = mirror(chosen, torch.tensor(mirrored, dtype=torch.bool))
        images = chosen.pop("image").float() / 255
        if "segmentation" in chosen:
            chosen["segmentation"] = chosen["segmentation"].long()
        return Batch(images, chosen)

    @cached_property
    def _kept(self) -> tuple[dict[str, Array], Array]:
        """Arrays [N, ...] by name, and which of the N images they hold."""
        arrays = self._empty()
        done = np.zeros(self.size, bool)
        if self.folder is not None:
            path, otherwise = self._path(self.folder), ", or data.cache=memory"
            arrays = cached(path, self._render_all, arrays, otherwise=otherwise)
            done[:] = True
        return arrays, done

    def _empty(self) -> dict[str, Array]:
        """Zeros, for which the system finds memory when they are written to."""
        kinds: dict[str, tuple[type, tuple[int, ...]]] = {"image": (np.uint8, (3,))}
        for task in self.tasks:
            channels = {"segmentation": (), "normals": (3,)}.get(task, (1,))
            kinds[task] = np.uint8 if task == "segmentation" else np.float32, channels
        return {
            name: np.zeros((self.size, *channels, *self.shape), kind)
            for name, (kind, channels) in kinds.items()
        }

    def _render_all(self) -> dict[str, Array]:
        arrays = self._empty()
        for index in range(self.size):
            self._render(index, arrays)
        return arrays

    def _render(self, index: int, arrays: Mapping[str, Array]) -> None:
        height, width = self.shape
        picture = render(seed_for(self.seed, f"scenes/{self.split}/{index}"), height, width)
        arrays["image"][index] = picture.image
        for task in self.tasks:
            arrays[task][index] = TARGETS[task](picture)

    def _path(self, folder: Path) -> Path:
        told = [RENDERER, self.seed, self.split, self.size, *self.shape, *sorted(self.tasks)]
        digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
        height, width = self.shape
        return folder / f"{self.split}-{self.size}x{height}x{width}-{digest}.npz"


def mirror(batch: Mapping[str, Tensor], chosen: Tensor) -> dict[str, Tensor]:
    """Some examples with left and right exchanged: normals turn their first component too.

    Args:
        batch: [B, ..., W] by name.
        chosen: [B] bool.
    """
    mirrored = {}
    for name, values in batch.items():
        other = values.flip(-1)
        if name == "normals":
            other[:, 0].neg_()
        mirrored[name] = other.where(chosen.view(-1, *[1] * (values.dim() - 1)), values)
    return mirrored


def _chosen(names: Sequence[str] | None) -> tuple[Task, ...]:
    own = (segmentation(num_classes=len(CLASSES)), depth(), normals(), edges(), keypoints())
    known = {task.name: task for task in own}
    if names is None:
        return own
    if not names or len(set(names)) < len(names) or not set(names) <= set(known):
        raise ValueError(
            f"`tasks` should name one or more of {', '.join(known)}, each once. "
            f"Found `tasks = {list(names)}`. Set data.tasks."
        )
    return tuple(known[name] for name in names)


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(
            f"`{name}` should be at least {least}. Found `{name} = {value}`. Set data.{name}."
        )
