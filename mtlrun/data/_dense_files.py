"""Pictures and maps as one npy file each: the preprocessed layout of NYUv2 and CityScapes."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mtlrun.core.data import DataError, Finding, SplitName
from mtlrun.core.seeding import seed_for
from mtlrun.data._dense_source import SAMPLED
from mtlrun.data._miniature import refuse_copy
from mtlrun.data._npy_file import read_npy
from mtlrun.data._raycast import Array
from mtlrun.data._scene_layout import CLASSES
from mtlrun.data._scene_render import render
from mtlrun.data._spread import spread

FOLDERS = {"segmentation": "label", "depth": "depth", "normals": "normal"}
CHANNELS = {"image": 3, "label": 0, "depth": 1, "normal": 3}  # 0: [H, W] without a third axis
LAST_PART = 0.1  # of the training folder, read as validation split where none is held out
SHOWN = 5
UNREADABLE = (OSError, ValueError, EOFError)
WHERE_FROM = (
    "Get the preprocessed files from the page of MTAN's program (github.com/lorenmt/mtan). Nothing is "
    "downloaded."
)


@dataclass(frozen=True)
class DenseFiles:
    """The folders of a copy: root/{train,val}/{image,label,depth,normal}/{0..n-1}.npy.

    Attributes:
        name: Of the dataset.
        root: The folder.
        num_classes: Of labels, which are -1 (counts nowhere) or 0 to one less.
    """

    name: str
    root: Path
    num_classes: int

    def count(self, part: str, folders: Sequence[str]) -> int:
        """How many examples a folder `train` or `val` holds.

        Raises:
            DataError: If a folder or a file is missing.
        """
        first = self._indices(part, folders[0])
        for folder in folders:
            found = self._indices(part, folder)
            expected = range(max(len(first), len(found)))
            missing = next((k for k in expected if k not in found), None)
            if missing is not None:
                raise DataError(
                    f"`{self.root / part / folder}` should hold 0.npy to {expected[-1]}.npy, as many as "
                    f"`{folders[0]}` ({len(first)}). Found {len(found)} files and no `{missing}.npy`. "
                    f"Complete the copy. {WHERE_FROM}"
                )
        return len(first)

    def path(self, part: str, folder: str, index: int) -> Path:
        """Of a file."""
        return self.root / part / folder / f"{index}.npy"

    def read(
        self,
        part: str,
        folder: str,
        index: int,
        size: tuple[int, int] | None,
        out: Array | None = None,
    ) -> Array:
        """A file as [H, W] or [H, W, C].

        Args:
            part: `train` or `val`.
            folder: Of the map.
            index: Of the file.
            size: H and W it should have; None for any.
            out: Filled and returned where it has the file's shape and type.

        Raises:
            DataError: If it is missing, cut off, or of another shape.
        """
        path = self.path(part, folder, index)
        try:
            values = read_npy(path, out)
        except UNREADABLE as error:
            raise DataError(
                f"`{path}` should be a whole npy file of numbers. Found: {error}. Get the file anew."
            ) from error
        channels = CHANNELS[folder]
        rest = (channels,) if channels else ()
        fits = values.ndim == 2 + len(rest) and values.shape[2:] == rest and values.size > 0
        if (
            not fits
            or (size is not None and values.shape[:2] != size)
            or values.dtype.kind not in "fiu"
        ):
            wanted = "H x W" if size is None else f"{size[0]} x {size[1]}"
            wanted += f" x {channels}" if channels else ""
            raise DataError(
                f"`{path}` should hold {wanted} numbers. Found {' x '.join(map(str, values.shape))} of "
                f"type {values.dtype}. Get the file anew."
            )
        return values

    def fill(self, part: str, index: int, maps: Mapping[str, Array]) -> None:
        """Writes the picture `image` and maps of an example.

        Args:
            part: `train` or `val`.
            index: Of the files.
            maps: [H, W, C] by task, labels [H, W]; 255 is written for -1.

        Raises:
            DataError: If a file is missing or holds what it should not.
        """
        for name, out in maps.items():
            folder = FOLDERS.get(name, name)
            values = self.read(part, folder, index, (out.shape[0], out.shape[1]), out)
            if folder == "label":
                out[...] = self.labels(values, part, index)
            elif values is not out:
                out[...] = values

    def digest(self, folders: Sequence[str]) -> str:
        """A hash of all files' lengths, and of 8 files of every folder: all npy files are equally long.

        Raises:
            DataError: If files are missing.
        """
        told = hashlib.sha256()
        for part in ("train", "val"):
            count = self.count(part, folders)
            for folder in folders:
                for k in range(count):
                    length = self.path(part, folder, k).stat().st_size
                    told.update(f"{part}/{folder}/{k} {length}\n".encode())
                for k in spread(range(count), SAMPLED):
                    told.update(self.path(part, folder, k).read_bytes())
        return told.hexdigest()

    def labels(self, values: Array, part: str, index: int) -> Array:
        """[H, W] uint8 with 255 for -1: the bits of -1 in 8 bits.

        Raises:
            DataError: If a label is no class.
        """
        with np.errstate(invalid="ignore"):  # what does not fit differs from its copy
            whole = values.astype(np.int8)
        if (whole != values).any() or whole.min() < -1 or whole.max() >= self.num_classes:
            raise DataError(
                f"`{self.path(part, 'label', index)}` should hold whole labels -1..{self.num_classes - 1}. "
                f"Found {values.min()}..{values.max()}. Get the file anew."
            )
        return whole.view(np.uint8)

    def check(self, folders: Sequence[str], size: tuple[int, int]) -> Iterator[Finding]:
        """Counts, and every file read."""
        for part in ("train", "val"):
            try:
                count = self.count(part, folders)
            except DataError as error:
                yield Finding(True, str(error))
                continue
            yield Finding(False, f"Folder `{part}`: {count} examples of {size[0]}x{size[1]}.")
            for folder in folders:
                yield from self._check_folder(part, folder, count, size)

    def _check_folder(
        self, part: str, folder: str, count: int, size: tuple[int, int]
    ) -> Iterator[Finding]:
        low, high, broken = np.inf, -np.inf, 0
        for index in range(count):
            try:
                values = self.read(part, folder, index, size)
                if folder == "label":
                    self.labels(values, part, index)
                if not np.isfinite(values).all():
                    raise DataError(
                        f"`{self.path(part, folder, index)}` should hold finite numbers. "
                        f"Found others. Get the file anew."
                    )
            except DataError as error:
                broken += 1
                if broken <= SHOWN:
                    yield Finding(True, str(error))
            else:
                low, high = min(low, float(values.min())), max(high, float(values.max()))
        if broken > SHOWN:
            yield Finding(True, f"`{part}/{folder}`: {broken - SHOWN} more files are broken.")
        if broken < count:
            yield Finding(False, f"`{part}/{folder}`: values {low:.4g}..{high:.4g}.")
            limits = {"image": (0, 1), "depth": (0, np.inf), "normal": (-1.01, 1.01)}
            least, most = limits.get(folder, (-np.inf, np.inf))
            if low < least or high > most:
                yield Finding(
                    True,
                    f"`{self.root / part / folder}` should hold values {least}..{most}. Found "
                    f"{low:.4g}..{high:.4g}. Preprocess the files anew.",
                )

    def _indices(self, part: str, folder: str) -> set[int]:
        path = self.root / part / folder
        found = {int(p.stem) for p in path.glob("*.npy") if p.stem.isdecimal()}
        if not found:
            raise DataError(
                f"`{self.name}` should hold {{train,val}}/{{image,label,...}}/0.npy, 1.npy, ... Found no "
                f"such files in `{path}`. Set data.root, or $MTLRUN_DATA to the folder that holds it as "
                f"`{self.name}`. {WHERE_FROM} For a small copy to try things with: "
                f"mtlrun data {self.name} --miniature DIR."
            )
        return found


def rows_of(split: SplitName, counts: Mapping[str, int], val_share: float, seed: int) -> list[int]:
    """The files of a split: `test` is the folder `val`, `val` a share of the folder `train`.

    A share of 0 holds nothing out: everything is trained on, and `val` is the last tenth of it.

    Args:
        split: Its name.
        counts: Files in the folders `train` and `val`.
        val_share: Of the folder `train`.
        seed: Of which are held out.
    """
    if split == "test":
        return list(range(counts["val"]))
    count = counts["train"]
    if val_share == 0:
        first = min(int(count * (1 - LAST_PART)), count - 1)
        return list(range(first if split == "val" else 0, count))
    order = np.random.default_rng(seed_for(seed, "validation")).permutation(count).tolist()
    held = min(max(round(count * val_share), 1), count - 1)
    return sorted(order[:held] if split == "val" else order[held:])


def write_miniature(
    folder: Path,
    name: str,
    folders: Sequence[str],
    *,
    size: tuple[int, int],
    num_classes: int,
    inverse: bool = False,
) -> None:
    """Writes 8 and 4 rendered rooms in the layout; windows have no depth and no normals.

    Args:
        folder: To write to.
        name: Of the dataset.
        folders: Of the maps.
        size: H and W.
        num_classes: Rooms have 14; further ones count nowhere.
        inverse: Whether depth is 1 / metres instead of metres.

    Raises:
        ValueError: If the folder holds a copy already.
    """
    refuse_copy(folder / "train", name)
    for part, count in (("train", 8), ("val", 4)):
        for index in range(count):
            picture = render(seed_for(0, f"{name}/{part}/{index}"), *size)
            labels = picture.segmentation.astype(np.int64)
            seen = (labels != CLASSES.index("window"))[..., None]
            metres = picture.depth[..., None]
            maps = {
                "image": (picture.image.transpose(1, 2, 0) / 255).astype(np.float32),
                "label": np.where(labels < num_classes, labels, -1).astype(np.float32),
                "depth": ((1 / metres if inverse else metres) * seen).astype(np.float32),
                "normal": (picture.normals.transpose(1, 2, 0) * seen).astype(np.float32),
            }
            for own in folders:
                path = folder / part / own / f"{index}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, maps[own])
