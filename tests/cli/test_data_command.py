from pathlib import Path

import pytest

from mtlrun._data_command import data_command


def test_a_miniature_is_written_and_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mini"
    assert data_command(["nyuv2", "--miniature", str(folder)]) == 0
    assert data_command(["nyuv2", "--check", f"data.root={folder}"]) == 0
    assert "No errors." in capsys.readouterr().out


def test_a_broken_file_gives_exit_code_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mini"
    assert data_command(["nyuv2", "--miniature", str(folder)]) == 0
    (folder / "train" / "label" / "0.npy").write_bytes(b"nothing")
    assert data_command(["nyuv2", "--check", f"data.root={folder}"]) == 3
    assert "label/0.npy" in capsys.readouterr().out


def test_an_unknown_dataset_is_refused_with_a_near_miss() -> None:
    with pytest.raises(ValueError, match="nyuv2"):
        data_command(["nyu2", "--check"])
