"""Taskonomy: indoor pictures with maps of many kinds."""

import difflib
import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from mtlrun.core.batch import Batch
from mtlrun.core.data import DataError, DataSource, Finding, InputSpec, SplitName
from mtlrun.core.seeding import seed_for
from mtlrun.data import _taskonomy_check, _taskonomy_miniature
from mtlrun.data._picture_file import read_numbers, read_rgb, read_size
from mtlrun.data._raycast import Array
from mtlrun.data._spread import spread
from mtlrun.data._taskonomy_files import SPLITS, Files, View, read_buildings
from mtlrun.data._taskonomy_targets import (
    DOMAINS,
    ELEVEN,
    FIVE,
    Scaling,
    is_deep,
    make_target,
    make_task,
)

MEASURED = 4  # views of a building whose files' lengths tell one copy from another


class Taskonomy(DataSource):
    """Pictures of buildings; each kind of map of a picture is a task.

    Source: Zamir et al., Taskonomy, CVPR 2018, arXiv:1804.08328. Layout a, its splits and scalings are
    those of Selective Task Group Updates (11 tasks), layout b those of Standley et al. (ICML 2020,
    arXiv:1905.07553) and of TAG (5 tasks).
    Differs: a missing file is an error (the program of layout a takes the previous picture); flipping
    negates the normals' first component (there not); all pictures of the test buildings are tested
    (there the first tenth of the sorted list); training leaves the validation buildings out
    (there not: train_on_val); undefined depth and normals are masked in scaling a too, and errors of
    depth are of the scaled values (there in the logarithm's argument); pictures are resized and not cropped;
    validation pictures of a large building are evenly spaced (the program of layout b: the first);
    classes of `segment_semantic` weigh alike (DSMTL's earlier program: by their prior shares), and
    inputs are RGB in 0..1 (that program: BGR less a mean); buildings left out are those of `exclude`
    (the program of layout a leaves out 19 more unless a split is the full one).

    Files of a domain are point_P_view_V_domain_DOMAIN.png in DOMAIN/taskonomy/BUILDING (layout a) or
    DOMAIN/BUILDING (layout b). Splits are lists of buildings: in layout a the CSV
    splits_taskonomy/train_val_test_tiny.csv with columns id, train, val, test; in layout b
    train_models.txt, val_models.txt and test_models.txt. Inputs are RGB [3, size, size] in 0..1.
    Targets are float32 [C, H, W], scaled as one of the programs does. Undefined
    pixels are not a number (0 for normals and for scaling a's depth): grey normals, depth of 0, of
    64500 or more in scaling a (as DSMTL's earlier program has it), of 8192 (16 m) or more in scaling
    b, and there with it all geometric maps. Labels of
    `segment_semantic` are int64 [H, W], 17 classes, 255 where unlabelled.

    Args:
        root: The folder; None for `data/taskonomy`.
        layout: Of folders and splits, "a" or "b".
        scaling: Of targets: "a" as Selective and DSMTL's earlier program, "b" as TAG.
        tasks: "five", "eleven", or domains in the order of tables; None for all twelve.
        size: Height and width, pixels, to which pictures are reduced and, by the nearest pixel, maps.
            Where the first training picture is smaller, its shorter side: nothing is enlarged.
        splits: Another CSV (layout a) or folder of lists (layout b); None for those in root.
        exclude: Buildings left out of every split.
        train_on_val: Whether the validation buildings are trained on too.
        val_per_building: Pictures of a building in the validation split at most; None for all.
        flip: Whether training pictures are mirrored, half of them in every epoch.

    Raises:
        ValueError: If a task is unknown or named twice, or a number is too small.
    """

    def __init__(
        self,
        *,
        root: str | None = None,
        layout: Literal["a", "b"] = "b",
        scaling: Literal["a", "b"] = "a",
        tasks: Literal["five", "eleven"] | Sequence[str] | None = "five",
        size: int = 256,
        splits: str | None = None,
        exclude: Sequence[str] = ("woodbine", "wiconisco"),
        train_on_val: bool = False,
        val_per_building: int | None = 1000,
        flip: bool = False,
    ) -> None:
        for name, value in (("size", size), ("val_per_building", val_per_building)):
            if value is not None and value < 1:
                raise ValueError(
                    f"`{name}` should be at least 1. Found `{name} = {value}`. Set data.{name}."
                )
        if layout not in ("a", "b"):
            raise ValueError(
                f"`layout` should be a or b. Found `layout = {layout}`. Set data.layout."
            )
        if scaling not in ("a", "b"):
            raise ValueError(
                f"`scaling` should be a or b. Found `scaling = {scaling}`. Set data.scaling."
            )
        self.scaling: Scaling = scaling
        self.files = Files(Path(root) if root is not None else Path("data") / "taskonomy", layout)
        self.splits = Path(splits) if splits is not None else None
        self.exclude, self.train_on_val = tuple(exclude), train_on_val
        self.val_per_building, self.flip = val_per_building, flip
        self.size = min(size, *self._found_size((size, size)))
        self.tasks = tuple(make_task(name, self.scaling) for name in _chosen(tasks))
        self.inputs = InputSpec("image", (3, self.size, self.size))

    @property
    def trained_on_val(self) -> str | None:
        """Where the validation buildings are trained on too."""
        return "data.train_on_val=false" if self.train_on_val else None

    def identity(self) -> dict[str, Any]:
        """Names of pictures and lengths of files stand for the folder; which tasks there are is the training's to tell.

        Raises:
            DataError: If lists or buildings are missing.
        """
        own = super().identity()
        for name in ("root", "layout", "tasks", "splits", "exclude"):
            del own[name]
        return own | {"size": self.size, "sha256": self._digest}

    def split(self, name: SplitName) -> "Views":
        """The pictures of a split; each is decoded when it is asked for.

        Raises:
            DataError: If lists, buildings or a whole domain of a building are missing.
        """
        views = self._views(name)
        names = [task.name for task in self.tasks]
        for building in dict.fromkeys(view.building for view in views):
            for domain in needed(names, self.scaling):
                if not self.files.folder(domain, building).is_dir():
                    raise DataError(
                        f"`{self.files.folder(domain, building)}` should hold the maps of building "
                        f"`{building}`, of split `{name}`. Found no such folder. Complete the copy, take "
                        f"the task out (data.tasks), or the building (data.exclude)."
                    )
        return Views(
            self.files,
            views,
            tasks=names,
            scaling=self.scaling,
            size=self.size,
            flip=self.flip and name == "train",
        )

    def check(self) -> Iterator[Finding]:
        """What is wrong with splits and files; every file is decoded."""
        try:
            buildings = [own for names in self._buildings.values() for own in names]
        except DataError as error:
            yield Finding(True, str(error))
            return
        missing = []
        for building in buildings:
            try:
                self._listed(building)
            except DataError as error:
                missing.append(building)
                if len(missing) <= _taskonomy_check.SHOWN:
                    yield Finding(True, str(error))
        if len(missing) > _taskonomy_check.SHOWN:
            names = ", ".join(f"`{own}`" for own in missing[_taskonomy_check.SHOWN :])
            yield Finding(True, f"Pictures of further buildings are missing: {names}.")
        views = {name: self._views(name, without=missing) for name in self._buildings}
        domains = needed([task.name for task in self.tasks], self.scaling)
        yield from _taskonomy_check.findings(self.files, views, domains)

    @classmethod
    def write_miniature(cls, folder: Path) -> None:
        """Both layouts with all domains of 28 pictures of rooms, in four buildings.

        Raises:
            ValueError: If the folder holds a copy already.
        """
        _taskonomy_miniature.write(folder)

    def _found_size(self, default: tuple[int, int]) -> tuple[int, int]:
        """H and W of the first training picture; the default where it cannot be read."""
        try:
            view = self._listed(self._buildings["train"][0])[0]
            return read_size(self.files.picture("rgb", view))
        except DataError:
            return default

    @cached_property
    def _digest(self) -> str:
        """A hash of all pictures' names, and of the lengths of some files of every building and domain."""
        digest = hashlib.sha256()
        for split in SPLITS:
            for view in self._views(split):
                digest.update(f"{split}/{view.building}/{view.point}/{view.view}\n".encode())
            for building in self._buildings[split]:
                for view in spread(self._listed(building), MEASURED):
                    lengths = [self.files.length(domain, view) for domain in ("rgb", *DOMAINS)]
                    digest.update(f"{lengths}\n".encode())
        return digest.hexdigest()

    @cached_property
    def _buildings(self) -> dict[SplitName, tuple[str, ...]]:
        read = read_buildings(self.files, self.splits)
        kept = {
            split: tuple(own for own in names if own not in self.exclude)
            for split, names in read.items()
        }
        for split, names in kept.items():
            if not names:
                raise DataError(
                    f"Split `{split}` of `{self.splits or self.files.root}` should name buildings. Found "
                    f"none. Set data.splits or data.exclude."
                )
        return kept

    @cached_property
    def _of_building(self) -> dict[str, list[View]]:
        return {}

    def _views(self, split: SplitName, without: Sequence[str] = ()) -> list[View]:
        chosen = []
        for building in self._buildings[split]:
            if building in without:
                continue
            views = self._listed(building)
            limit = self.val_per_building
            chosen += views if split != "val" or limit is None else spread(views, limit)
        if split == "train" and self.train_on_val:
            for building in self._buildings["val"]:
                chosen += self._listed(building) if building not in without else []
        return chosen

    def _listed(self, building: str) -> list[View]:
        if building not in self._of_building:
            self._of_building[building] = self.files.views(building)
        return self._of_building[building]


class Views:
    """The pictures of one split.

    Args:
        files: Where they are.
        views: Which.
        tasks: The domains of the targets.
        scaling: Of the targets.
        size: Height and width, pixels.
        flip: Whether half of the pictures are mirrored.
    """

    def __init__(
        self,
        files: Files,
        views: Sequence[View],
        *,
        tasks: Sequence[str],
        scaling: Scaling,
        size: int,
        flip: bool,
    ) -> None:
        self.files, self.views, self.tasks = files, tuple(views), tuple(tasks)
        self.scaling, self.size, self.flip = scaling, size, flip

    def __len__(self) -> int:
        return len(self.views)

    def fetch(self, indices: Sequence[int], *, seed: int) -> Batch:
        """Pictures [B, 3, H, W] and a map of each task.

        Args:
            indices: Which, 0 to the split's length less 1.
            seed: Of the choice of mirrored pictures.

        Raises:
            DataError: If a file is missing, cannot be decoded, or holds what its domain cannot.
        """
        examples = []
        for index in indices:
            example = self._read(self.views[index])
            if self.flip and seed_for(seed, str(index)) % 2:
                example = mirrored(example)
            examples.append(example)
        stacked = {
            name: torch.from_numpy(np.stack([example[name] for example in examples]))
            for name in ("rgb", *self.tasks)
        }
        return Batch(stacked.pop("rgb").float() / 255, stacked)

    def _read(self, view: View) -> dict[str, Array]:
        """The picture and its targets, by domain."""
        size = (self.size, self.size)
        numbers = {
            domain: self._numbers(domain, view) for domain in needed(self.tasks, self.scaling)
        }
        defined = np.ones(size, bool)
        if self.scaling == "b" and "depth_zbuffer" in numbers:
            defined = is_deep(self.scaling, numbers["depth_zbuffer"])
        example = {"rgb": read_rgb(self.files.picture("rgb", view), size=size)}
        for name in self.tasks:
            try:
                example[name] = make_target(name, self.scaling, numbers[name], defined)
            except ValueError as error:
                raise DataError(
                    f"`{self.files.picture(name, view)}` should hold {error}. Get the file anew."
                ) from error
        return example

    def _numbers(self, domain: str, view: View) -> Array:
        path, wanted = self.files.picture(domain, view), DOMAINS[domain].channels
        numbers = read_numbers(path, size=(self.size, self.size))
        if len(numbers) < wanted:
            if domain != "reshading":
                raise DataError(
                    f"`{path}` should have at least {wanted} channel(s). Found {len(numbers)}. Get the "
                    f"file anew."
                )
            numbers = numbers.repeat(wanted, axis=0)
        return numbers[:wanted]


def needed(tasks: Sequence[str], scaling: Scaling) -> tuple[str, ...]:
    """The domains that targets are made from: in scaling b depth masks the geometric ones."""
    masked = scaling == "b" and any(DOMAINS[name].geometric for name in tasks)
    extra = ("depth_zbuffer",) if masked and "depth_zbuffer" not in tasks else ()
    return (*tasks, *extra)


def mirrored(example: dict[str, Array]) -> dict[str, Array]:
    """A picture and its maps with left and right exchanged; normals turn their first component too.

    Args:
        example: [..., H, W] by domain.
    """
    turned = {name: values[..., ::-1].copy() for name, values in example.items()}
    if "normal" in turned:
        np.negative(turned["normal"][0], out=turned["normal"][0])
    return turned


def _chosen(tasks: str | Sequence[str] | None) -> tuple[str, ...]:
    if tasks is None:
        return tuple(DOMAINS)
    if isinstance(tasks, str):
        if tasks not in ("five", "eleven"):
            raise ValueError(
                f"`tasks` should be five, eleven, or a list of domains. Found `tasks = {tasks}`. Set "
                f"data.tasks=[{tasks}] for one domain."
            )
        return FIVE if tasks == "five" else ELEVEN
    for name in tasks:
        if name not in DOMAINS:
            near = difflib.get_close_matches(name, DOMAINS, n=3, cutoff=0.6)
            hint = f" Did you mean {' or '.join(f'`{own}`' for own in near)}?" if near else ""
            raise ValueError(
                f"`tasks` should be among {', '.join(DOMAINS)}. Found `{name}`.{hint} Set data.tasks."
            )
    if not tasks or len(set(tasks)) < len(tasks):
        raise ValueError(
            f"`tasks` should name one or more domains, each once. Found `tasks = {list(tasks)}`. "
            f"Set data.tasks."
        )
    return tuple(tasks)
