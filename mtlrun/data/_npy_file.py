"""Arrays of npy files, read to where they are wanted."""

import functools
import io
from pathlib import Path

import numpy as np

from mtlrun.data._raycast import Array

START = b"\x93NUMPY\x01\x00"  # of files that numpy writes unless their header is very long


def read_npy(path: Path, out: Array | None = None) -> Array:
    """The numbers of a file.

    Args:
        path: Of the file.
        out: Filled and returned where it has the file's shape and type, else left alone: then no
            copy is made between the file and it.

    Raises:
        OSError: If the file is missing.
        ValueError: If it is cut off, no npy file, or holds objects; EOFError if it is empty.
    """
    with path.open("rb", buffering=0) as file:
        start = file.read(len(START) + 2)
        length = int.from_bytes(start[len(START) :], "little")
        if start.startswith(START):
            shape, fortran, dtype = _header(start + file.read(length))
            if not fortran and not dtype.hasobject:
                fits = out is not None and out.shape == shape and out.dtype == dtype
                if out is None or not fits or not out.flags.c_contiguous:
                    out = np.empty(shape, dtype)
                _read_all(file, out)
                return out
    values: Array = np.load(path, allow_pickle=False)
    return values


def _read_all(file: io.RawIOBase, out: Array) -> None:
    memory, done = out.reshape(-1).view(np.uint8).data, 0
    while count := file.readinto(memory[done:]):
        done += count
    if done < out.nbytes:
        raise ValueError(f"{done} bytes of numbers where {out.nbytes} should be")


@functools.lru_cache(maxsize=64)  # files of one kind have one header, and its syntax is Python's
def _header(text: bytes) -> tuple[tuple[int, ...], bool, np.dtype]:
    file = io.BytesIO(text)
    np.lib.format.read_magic(file)
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    return shape, fortran, dtype
