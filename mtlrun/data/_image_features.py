"""Features of pictures, extracted once and kept in files."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from filelock import FileLock

from mtlrun.core.batch import TaskName
from mtlrun.core.seeding import seed_for
from mtlrun.data._domain_layout import Opened
from mtlrun.data._npy_features import files_by_class, name_of, numbered
from mtlrun.data._picture_file import read_rgb, read_size
from mtlrun.data._raycast import Array
from mtlrun.data._scene_cache import cached

if TYPE_CHECKING:
    from mtlrun.data._feature_encoder import FeatureEncoder

EXTRACTOR = 1  # another number for every change that moves a feature
SHARD = 1024  # pictures of a file: what an interruption costs at most
BATCH = 32
THREADS = 8
ENDINGS = (".jpg", ".jpeg", ".png", ".bmp")
_LOG = logging.getLogger(__name__)

Crop = Literal["random", "center"]


@dataclass(frozen=True)
class Extraction:
    """How pictures become features.

    Attributes:
        make_encoder: Makes the network, on first use.
        size: Height and width of the crop, pixels; the shorter side is 8/7 of it before.
        crops: Of examples to train on, and of others.
        folder: Of the files.
        title: Of the dataset and domain, for the log and the files.
    """

    make_encoder: "Callable[[], FeatureEncoder]"
    size: int
    crops: tuple[Crop, Crop]
    folder: Path
    title: str

    def extract(self, paths: Sequence[Path], names: Sequence[str], crop: Crop) -> Array:
        """[N, D] float32.

        They are kept in files of 1024 pictures each, whose names tell all that they depend on; of
        an interrupted extraction the finished ones are found again. Processes that ask for the same
        at one time do it once.

        Args:
            paths: [N] pictures.
            names: [N] of which a random crop's draw depends, and nothing else.
            crop: "random" is mirrored too, half of the time.

        Raises:
            DataError: If a picture cannot be decoded, or a file not be written.
            ValueError: If the encoder's weights do not fit.
        """
        parts = []
        for begin in range(0, len(paths), SHARD):
            part = slice(begin, begin + SHARD)
            parts.append(self._shard(paths[part], names[part], crop, begin, len(paths)))
        return np.concatenate(parts)

    def _shard(
        self, paths: Sequence[Path], names: Sequence[str], crop: Crop, begin: int, total: int
    ) -> Array:
        encoder = self.make_encoder()
        sizes = [path.stat().st_size for path in paths]
        told = [EXTRACTOR, encoder.name, encoder.digest, self.size, crop, list(names), sizes]
        digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
        words = [*self.title.split("/"), encoder.name, crop, str(begin), digest]
        path = self.folder / f"{'-'.join(words)}.npz"

        def build() -> dict[str, Array]:
            end = begin + len(paths)
            _LOG.info("%s: %s crops, pictures %d..%d of %d", self.title, crop, begin, end, total)
            return {"features": self._encoded(encoder, paths, names, crop)}

        like = {"features": np.empty((len(paths), encoder.width), np.float32)}
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / f".{path.stem}.lock"):
            return cached(path, build, like)["features"]

    def _encoded(
        self, encoder: "FeatureEncoder", paths: Sequence[Path], names: Sequence[str], crop: Crop
    ) -> Array:
        found = np.empty((len(paths), encoder.width), np.float32)
        with ThreadPoolExecutor(THREADS) as pool:
            for begin in range(0, len(paths), BATCH):
                part = slice(begin, begin + BATCH)
                pictures = list(pool.map(self._cropped(crop), paths[part], names[part]))
                batch = torch.from_numpy(np.stack(pictures)).float() / 255
                found[part] = encoder(batch).numpy()
        return found

    def _cropped(self, crop: Crop) -> Callable[[Path, str], Array]:
        """From a picture and its name to [3, size, size] uint8."""

        def cropped(path: Path, name: str) -> Array:
            height, width = read_size(path)
            shorter = round(self.size * 8 / 7)
            scale = shorter / min(height, width)
            shape = (max(shorter, round(height * scale)), max(shorter, round(width * scale)))
            picture = read_rgb(path, size=shape)
            room = [length - self.size for length in shape]
            rng = np.random.default_rng(seed_for(0, f"crop/{self.title}/{name}"))
            if crop == "random":
                top, left = (int(rng.integers(own + 1)) for own in room)
            else:
                top, left = (own // 2 for own in room)
            picture = picture[:, top : top + self.size, left : left + self.size]
            return picture[:, :, ::-1] if crop == "random" and rng.integers(2) else picture

        return cropped


class PictureDomain:
    """The pictures of one domain, as features.

    Args:
        folder: Of the domain.
        paths: [N] files.
        names: [N] as CLASS/STEM.
        labels: [N], 0 to C-1.
        extraction: How they become features.
    """

    def __init__(
        self,
        folder: Path,
        paths: Sequence[Path],
        names: Sequence[str],
        labels: Array,
        extraction: Extraction,
    ) -> None:
        self.where, self.paths, self.names, self.labels = folder, paths, names, labels
        self.extraction = extraction

    def read(self, rows: Array, *, augmented: bool) -> Array:
        """Features [n, D] float32."""
        crop = self.extraction.crops[0 if augmented else 1]
        if crop == "center":  # of all pictures: splits by other seeds find them again
            found: Array = self.extraction.extract(self.paths, self.names, crop)[rows]
            return found
        chosen = rows.tolist()
        paths, names = [self.paths[k] for k in chosen], [self.names[k] for k in chosen]
        return self.extraction.extract(paths, names, crop)


def open_pictures(
    folders: Mapping[TaskName, Path], extractions: Mapping[TaskName, Extraction], width: int
) -> Opened:
    """The pictures CLASS/NAME of domains.

    Args:
        folders: By task.
        extractions: By task.
        width: D of the features.

    Raises:
        DataError: If a folder has no pictures.
    """
    files = {task: files_by_class(folder, ENDINGS) for task, folder in folders.items()}
    classes, labels = numbered(files)
    domains = {
        task: PictureDomain(
            folders[task], own, [name_of(path) for path in own], labels[task], extractions[task]
        )
        for task, own in files.items()
    }
    return Opened(domains, classes, width, "pictures", next(iter(folders.values())).parent)
