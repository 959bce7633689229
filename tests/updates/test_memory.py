"""Weightings of gradients keep no gradients."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def peak(name: str) -> float:
    """In MB, of a process of its own; the allocator maps large tensors and gives them back at once."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.updates.memory", name],
        cwd=ROOT,
        env=os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return float(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_nine_tasks_on_resnet18_take_little_more_memory_than_equal_weights() -> None:
    plain = peak("equal")
    for name in ("cagrad", "gradnorm"):  # 9 stored gradients are 400 MB
        assert peak(name) - plain < 60, name
