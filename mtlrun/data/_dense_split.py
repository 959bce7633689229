"""Batches of pictures with their maps, filled example by example."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mtlrun.core.batch import Batch
from mtlrun.core.seeding import seed_for
from mtlrun.data._raycast import Array

SCALES = (1.0, 1.2, 1.5)

Fill = Callable[[str, Mapping[str, Array]], None]


class DenseSplit:
    """The examples of one split, read when they are asked for.

    Args:
        fill: Writes the picture and maps of an example into arrays by name.
        rows: The names of the examples.
        shapes: Of the picture `image` and of the maps, by name: [H, W, C], labels [H, W].
        augment: Whether pictures are enlarged and mirrored.
    """

    def __init__(
        self,
        fill: Fill,
        rows: Sequence[str],
        *,
        shapes: Mapping[str, tuple[int, ...]],
        augment: bool,
    ) -> None:
        self.fill, self.rows = fill, tuple(rows)
        self.shapes, self.augment = dict(shapes), augment

    def __len__(self) -> int:
        return len(self.rows)

    def fetch(self, indices: Sequence[int], *, seed: int) -> Batch:
        """Pictures [B, 3, H, W] and targets.

        Channels vary fastest in memory, as in the files, so that nothing is copied to order them.

        Args:
            indices: Which, 0 to the split's length less 1.
            seed: Of the augmentation.

        Raises:
            DataError: If a file is missing or holds what it should not.
        """
        stored = {
            name: torch.empty(
                (len(indices), *shape), dtype=torch.int64 if len(shape) == 2 else torch.float32
            )
            for name, shape in self.shapes.items()
        }
        arrays = {name: values.numpy() for name, values in stored.items()}
        for k, index in enumerate(indices):
            self.fill(self.rows[index], {name: values[k] for name, values in arrays.items()})
        batch = {
            name: values if values.ndim == 3 else values.permute(0, 3, 1, 2)
            for name, values in stored.items()
        }
        if self.augment:
            for k, index in enumerate(indices):
                example = {name: values[k] for name, values in batch.items()}
                for name, moved in augmented(example, seed_for(seed, str(index))).items():
                    batch[name][k] = moved
        return Batch(batch.pop("image"), batch)


def augmented(example: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """An example enlarged by 1, 1.2 or 1.5 around a random place, half of the time mirrored.

    Depth is divided by the scale (0 stays invalid), normals turn their first component when
    mirrored; maps take the nearest pixel, the picture is bilinear.

    Args:
        example: [H, W] or [C, H, W] by task, and `image`.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    scale = SCALES[rng.integers(len(SCALES))]
    height, width = example["image"].shape[-2:]
    inner = int(height / scale), int(width / scale)
    top, left = (int(rng.integers(n + 1)) for n in (height - inner[0], width - inner[1]))
    mirrored = bool(rng.integers(2))
    rows = top + np.arange(height) * inner[0] // height
    columns = left + np.arange(width) * inner[1] // width
    pixels = rows[:, None] * width + columns
    result = {}
    for name, values in example.items():
        if scale == 1:
            chosen = values
        elif name == "image":
            part = values[None, :, top : top + inner[0], left : left + inner[1]]
            chosen = F.interpolate(part, (height, width), mode="bilinear", align_corners=True)[0]
        else:
            chosen = _taken(values, pixels)
        if name == "depth":
            chosen = chosen / scale
        if mirrored:
            chosen = chosen.flip(-1)
            if name == "normals":
                chosen[0].neg_()
        result[name] = chosen
    return result


def _taken(values: Tensor, pixels: Array) -> Tensor:
    """The pixels [H, W] of a map [H, W] or [C, H, W], which numpy gathers in a third of torch's time."""
    if values.ndim == 2:
        return torch.from_numpy(values.numpy().reshape(-1).take(pixels))
    flat = values.movedim(0, -1).reshape(-1, len(values)).numpy()  # [H W, C], stored so in batches
    return torch.from_numpy(flat.take(pixels, axis=0)).movedim(-1, 0)
