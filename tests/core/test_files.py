"""Files that are whole or not there."""

import errno
from pathlib import Path

import pytest

from mtlrun.core.files import partial_of, remove_partial, write_whole


def _fail(partial: Path) -> None:
    partial.write_bytes(b"half")
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_failed_write_names_the_file_and_keeps_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("old")
    with pytest.raises(OSError, match="No space left") as caught:
        write_whole(path, _fail)
    assert caught.value.filename == str(path)
    assert caught.value.errno == errno.ENOSPC
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_written_has_the_suffix_that_formats_are_guessed_by(tmp_path: Path) -> None:
    path, seen = tmp_path / "new" / "figure.png", []

    def write(partial: Path) -> None:
        seen.append(partial.suffix)
        partial.write_bytes(b"whole")

    write_whole(path, write)
    assert seen == [".png"]
    assert list(path.parent.iterdir()) == [path]


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    partial_of(tmp_path / "checkpoint.pt").write_bytes(b"half")
    (tmp_path / "settings.json").write_text("{}")
    remove_partial(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]
