"""Arrays on disk that several processes may build at once."""

import logging
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from mtlrun.core.data import DataError
from mtlrun.core.files import write_whole
from mtlrun.data._raycast import Array

_LOG = logging.getLogger(__name__)


def cached(
    path: Path,
    build: Callable[[], Mapping[str, Array]],
    like: Mapping[str, Array],
    *,
    otherwise: str = "",
) -> dict[str, Array]:
    """The arrays of a file; they are built, and the file written, if it is missing or damaged.

    The file is there as a whole or not at all; of two processes that build it the later one
    replaces the same content.

    Args:
        path: Its name tells all that the arrays depend on.
        build: Makes the arrays.
        like: Arrays of the expected names, shapes and types.
        otherwise: A way out beside another folder, for the message.

    Raises:
        DataError: If the file cannot be written.
    """
    try:
        return _read(path, like)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        _LOG.warning("%s is damaged (%s): it is made anew.", path, error)
    arrays = dict(build())
    try:
        write_whole(path, lambda partial: np.savez(partial, **arrays))  # type: ignore[arg-type]  # numpy's annotation takes them for allow_pickle
    except OSError as error:
        raise DataError(
            f"The cache file `{path}` should be writable. Found: {error}. Set data.cache_dir to a "
            f"folder with room{otherwise}."
        ) from error
    return arrays


def _read(path: Path, like: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays of a file; reading to its end compares checksums."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
        arrays = {name: content[name] for name in like}
    for name, expected in like.items():
        found = arrays[name]
        if (found.shape, found.dtype) != (expected.shape, expected.dtype):
            raise ValueError(f"`{name}` is {found.dtype} {list(found.shape)}")
    return arrays
