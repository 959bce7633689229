import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.affinities.two_processes import affinities

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_two_processes_find_what_one_finds(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.affinities.two_processes"]
    running = [
        subprocess.Popen(
            [*command, str(tmp_path / "meeting"), str(rank), "2", str(tmp_path / "found.pt")],
            cwd=ROOT,
        )
        for rank in range(2)
    ]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    found = torch.load(tmp_path / "found.pt", weights_only=True)
    torch.testing.assert_close(found, affinities(0, 1), rtol=0, atol=1e-12)
