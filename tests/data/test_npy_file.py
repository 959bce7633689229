"""Files are read to where they are wanted, whatever their order, type and version."""

from pathlib import Path

import numpy as np
import pytest

from mtlrun.data._npy_file import read_npy

VALUES = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def test_an_array_that_fits_is_filled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", VALUES)
    out = np.zeros((5, 2, 3, 4), np.float32)
    read = read_npy(tmp_path / "a.npy", out[3])
    assert np.shares_memory(read, out)
    assert np.array_equal(out[3], VALUES)
    assert not out[2].any()


@pytest.mark.parametrize(
    "stored",
    [VALUES.astype(np.float64), VALUES[:1], np.asfortranarray(VALUES), VALUES.astype(">f4")],
    ids=["type", "shape", "order", "bytes"],
)
def test_an_array_that_does_not_fit_is_left_alone(tmp_path: Path, stored: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", stored)
    out = np.zeros_like(VALUES)
    read = read_npy(tmp_path / "a.npy", out)
    assert np.array_equal(read, stored)
    assert read.dtype == stored.dtype
    assert not out.any()


def test_a_later_version_of_the_format_is_read(tmp_path: Path) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array(file, VALUES, version=(2, 0))
    assert np.array_equal(read_npy(tmp_path / "a.npy"), VALUES)


@pytest.mark.parametrize("length", [0, 7, 60, 200])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, length: int) -> None:
    np.save(tmp_path / "a.npy", VALUES)
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:length])
    with pytest.raises((ValueError, EOFError)):
        read_npy(tmp_path / "a.npy", np.zeros_like(VALUES))


def test_objects_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="pickle"):
        read_npy(tmp_path / "a.npy")
