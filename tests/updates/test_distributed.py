"""Every weighting trains alike with one process and with two."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]


def run(folder: Path, count: int) -> dict[str, Tensor]:
    command = [sys.executable, "-m", "tests.updates.two_processes"]
    meeting, path = str(folder / "meeting"), folder / f"{count}.pt"
    running = [
        subprocess.Popen([*command, meeting, str(rank), str(count), str(path)], cwd=ROOT)
        for rank in range(count)
    ]
    assert [process.wait(timeout=300) for process in running] == [0] * count
    found: dict[str, Tensor] = torch.load(path, weights_only=True)
    return found


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    one, two = run(tmp_path, 1), run(tmp_path, 2)
    assert one.keys() == two.keys()
    assert not torch.equal(one["equal"], one["cagrad"])
    for name, expected in one.items():
        torch.testing.assert_close(two[name], expected, rtol=0, atol=1e-7, msg=name)
    for unformed in (True, False):
        torch.testing.assert_close(one[f"cagrad {unformed}"], one["cagrad"], rtol=0, atol=1e-7)
