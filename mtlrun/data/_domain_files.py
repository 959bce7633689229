"""Datasets of files whose tasks are the same classes in several domains."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch

from mtlrun.core.batch import TaskName
from mtlrun.core.data import DataError, Finding, SplitName
from mtlrun.data import _domain_check
from mtlrun.data._dense_source import folder_of
from mtlrun.data._domain_arguments import check_numbers, chosen_domains
from mtlrun.data._domain_draw import Draw, Rows
from mtlrun.data._domain_layout import Layout, Opened, subfolders
from mtlrun.data._domain_lists import Lists, read_list, relabelled
from mtlrun.data._domain_open import kept, open_features
from mtlrun.data._domain_scale import Scale, scaled
from mtlrun.data._domain_splits import Labelled
from mtlrun.data._domains import Domains
from mtlrun.data._image_features import Crop, Extraction, open_pictures
from mtlrun.data._raycast import Array

if TYPE_CHECKING:
    from mtlrun.data._feature_encoder import FeatureEncoder

WIDTH = 4096  # of features where no file tells
CACHE = "~/.cache/mtlrun/features"


class DomainFiles(Domains):
    """Features of pictures in several domains: read from files, or extracted from the pictures once.

    Source: the data of VMTL (Shen et al., NeurIPS 2021) and the lists and features of its program: a
    share of each class of each domain is trained on, the rest is tested.

    Args:
        root: The folder of pictures, DOMAIN/CLASS/NAME.jpg; None for data/NAME.
        features: A folder of features instead: DOMAIN.mat with `fts` [N, D] and `labels`, or
            [images/]DOMAIN/CLASS/NAME.npy, each [D]. None for `features` in root where it is there
            and `encoder_weights` is None, else for the pictures.
        descriptor: Which folder of `features`, by its name without numbers; None where files lie in
            `features` itself.
        lists: A folder of lists that say what is trained on and what is tested. None to draw that.
        domains: The tasks, in the order of tables; None for all that have files.
        train_share: Of each class, one example at least; of lists, which ones.
        split_seed: Of the draw.
        val: The split `val` where `val_per_class` is 0: "train" for the training examples, "test"
            for the test examples, as VMTL's program reports its best evaluation. What a run then
            chooses by `val` is warned of and marked in its result.
        val_per_class: Training examples of each class that are held out as the split `val`.
        per_class: Examples of every class and task in a batch, which is a whole pass.
        scale: "zscore" for features less their mean over the domain's training examples, by their
            deviation; "l2" for examples of length sqrt(D).
        encoder: What turns pictures into features: vgg16, or a network of timm.
        encoder_weights: The path of its state_dict file, or "download"; "random" is for tests.
        crop: "paper" for features of one random, perhaps mirrored crop of a training picture and of
            central crops elsewhere; "center" for central ones only.
        image_size: Height and width of a crop, pixels.
        cache_dir: Where extracted features are kept; None for ~/.cache/mtlrun/features.

    Raises:
        ValueError: If a value is out of range, or a domain, descriptor or encoder unknown.
    """

    layout: ClassVar[Layout]

    def __init__(
        self,
        *,
        root: str | None = None,
        features: str | None = None,
        descriptor: str | None = None,
        lists: str | None = None,
        domains: Sequence[str] | None = None,
        train_share: float = 0.05,
        split_seed: int = 0,
        val: Literal["train", "test"] = "train",
        val_per_class: int = 0,
        per_class: int = 4,
        scale: Literal["none", "zscore", "l2"] = "none",
        encoder: str = "vgg16",
        encoder_weights: str | None = None,
        crop: Literal["paper", "center"] = "paper",
        image_size: int = 224,
        cache_dir: str | None = None,
    ) -> None:
        check_numbers(train_share, val, val_per_class, image_size)
        self.chosen = chosen_domains(domains, self.layout)
        self.root = folder_of(root, self.layout.name)
        own = self.root / "features"
        own_features = own if encoder_weights is None and own.is_dir() else None
        self.features = own_features if features is None else Path(features)
        self.descriptor, self.lists = descriptor, None if lists is None else Path(lists)
        self.train_share, self.split_seed = train_share, split_seed
        self.val, self.val_per_class = val, val_per_class
        self.scale: Scale = scale
        self.encoder, self.encoder_weights = encoder, encoder_weights
        self.crop, self.image_size = crop, image_size
        self.cache = Path(cache_dir if cache_dir is not None else CACHE).expanduser()
        try:
            found = self.opened
            names, classes, width = list(found.domains), found.classes, found.width
        except DataError:  # told when the examples are asked for
            names = list(self.chosen or self.layout.domains)
            classes, width = self.layout.names(self.layout.num_classes), WIDTH
        super().__init__(names, classes, width=width, per_class=per_class)

    @property
    def trained_on_val(self) -> str | None:
        """By default nothing is held out."""
        held = self.val == "test" or self.val_per_class > 0
        return None if held else "data.val_per_class=1"

    @property
    def test_is_val(self) -> str | None:
        """Where it is asked for."""
        return "data.val=test" if self.val == "test" else None

    def examples(self, split: SplitName) -> Mapping[TaskName, Labelled]:
        """Features [N, D], scaled, and classes [N] of a split.

        Raises:
            DataError: If files are missing or corrupt.
        """
        found = {}
        for task, rows in self.rows.items():
            own: Array = getattr(rows, split)
            values = self.read(task, own, augmented=split == "train")
            if self.scale == "zscore":
                train = self.read(task, rows.train, augmented=True)
                values = scaled(values, self.scale, train=train)
            else:
                values = scaled(values, self.scale)
            classes = self.opened.domains[task].labels[own]
            found[task] = torch.from_numpy(values), torch.from_numpy(classes)
        return found

    def check(self) -> Iterator[Finding]:
        """Counts of domains and classes, and every file read."""
        return _domain_check.findings(self)

    @cached_property
    def opened(self) -> Opened:
        """What the files hold, with the class numbers of the lists.

        Raises:
            DataError: If files are missing, corrupt, or do not fit each other.
        """
        if self.features is None:
            opened = self.open_pictures()
        else:
            opened = open_features(
                self.features, self.layout, descriptor=self.descriptor, chosen=self.chosen
            )
        opened.check_classes()
        lists = self._lists(opened).values()
        if not lists:
            return opened
        return relabelled(opened, [own for both in lists for own in (both.train, both.test)])

    @cached_property
    def rows(self) -> Mapping[TaskName, Rows]:
        """Which examples are in which split, by task.

        Raises:
            DataError: If a class has fewer examples than the splits need.
        """
        found, lists = {}, self._lists(self.opened)
        for task, domain in self.opened.domains.items():
            draw = Draw(self.split_seed, task, self.opened.classes)
            if task in lists:
                train, test = lists[task].rows(domain, self.opened.classes)
                train = self.listed(train, domain.labels, draw)
            else:
                train, test = draw.train_and_test(domain.labels, self.train_share)
            val = test if self.val == "test" else train
            if self.val_per_class:
                train, val = draw.hold_out(domain.labels, train, self.val_per_class)
            found[task] = Rows(train, val, test)
        return found

    def read(self, task: TaskName, rows: Array, *, augmented: bool) -> Array:
        """Features [n, D] of some examples of a domain, not scaled.

        Raises:
            DataError: If a file is missing or corrupt, or a number not finite.
        """
        domain = self.opened.domains[task]
        values = domain.read(rows, augmented=augmented)
        bad = int((~np.isfinite(values).all(axis=1)).sum())
        if bad:
            raise DataError(
                f"Features should be finite numbers. Found {bad} of {len(values)} examples of {task} "
                f"with others (`{domain.where}`). Get the files anew."
            )
        return values

    def open_pictures(self) -> Opened:
        """The pictures in root, or in its folder `images`.

        Raises:
            DataError: If there are none.
        """
        for folder in (self.root, self.root / "images"):
            if found := kept(self.layout.found(subfolders(folder)), self.chosen):
                return open_pictures(found, self.extractions(found), self.encoded_width())
        raise self.layout.missing(self.root, self.layout.pictures)

    def extractions(self, tasks: Iterable[TaskName]) -> dict[TaskName, Extraction]:
        """How the pictures of domains become features."""

        @cache
        def encoder() -> "FeatureEncoder":
            from mtlrun.data._feature_encoder import FeatureEncoder  # takes seconds

            return FeatureEncoder(self.encoder, self.encoder_weights)

        crops: tuple[Crop, Crop] = ("random" if self.crop == "paper" else "center", "center")
        titles = {task: f"{self.layout.name}/{task}" for task in tasks}
        return {
            task: Extraction(encoder, self.image_size, crops, self.cache, title)
            for task, title in titles.items()
        }

    def encoded_width(self) -> int:
        """D of the encoder's features."""
        from mtlrun.data._feature_encoder import width_of

        return width_of(self.encoder)

    def list_paths(self, folder: Path, task: TaskName) -> tuple[Path, Path]:
        """The lists of a domain's training and test examples: DOMAIN/train_5.txt, DOMAIN/test_5.txt.

        Raises:
            DataError: If the domain has no folder.
        """
        own = self.layout.found(subfolders(folder)).get(task)
        if own is None:
            raise DataError(
                f"`{folder}` should hold lists in a folder for each domain. Found none for {task} of "
                f"`{self.layout.name}`. Set data.lists, or data.domains."
            )
        percent = round(100 * self.train_share)
        return own / f"train_{percent}.txt", own / f"test_{percent}.txt"

    def listed(self, train: Array, labels: Array, draw: Draw) -> Array:
        """The rows that are trained on of those that a list has: all."""
        return train

    def _lists(self, opened: Opened) -> dict[TaskName, Lists]:
        """Of every domain; none where the split is drawn."""
        if self.lists is None:
            return {}
        paths = {task: self.list_paths(self.lists, task) for task in opened.domains}
        return {task: Lists(*(read_list(own) for own in both)) for task, both in paths.items()}
