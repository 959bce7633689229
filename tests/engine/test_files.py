"""Logs, links and tensors."""

import errno
from pathlib import Path

import pytest
import torch

from mtlrun.engine.files import (
    append_line,
    link_or_copy,
    read_tensors,
    write_tensors,
)


def test_a_line_that_cannot_be_added_names_the_log(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="metrics") as caught:
        append_line(tmp_path / "missing" / "metrics.jsonl", "{}")
    assert caught.value.filename == str(tmp_path / "missing" / "metrics.jsonl")


def test_tensors_and_plain_values_read_back(tmp_path: Path) -> None:
    state = {"x": torch.arange(3.0), "names": ["a"], "nested": {"step": 4}}
    write_tensors(tmp_path / "state.pt", state)
    read = read_tensors(tmp_path / "state.pt")
    assert torch.equal(read.pop("x"), state.pop("x"))  # type: ignore[arg-type]
    assert read == state


def test_a_link_is_made_anew_also_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "model.pt", tmp_path / "kept" / "a.pt"
    source.write_bytes(b"weights")
    for _ in range(2):
        link_or_copy(source, target)
        assert target.samefile(source)
    source.unlink()
    source.write_bytes(b"others")

    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr("os.link", refuse)
    link_or_copy(source, target)
    assert target.read_bytes() == b"others"
    assert list(target.parent.iterdir()) == [target]
