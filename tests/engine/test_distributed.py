"""Two processes equal one with the same global batch."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def _run(folder: Path, method: str, *, processes: int) -> dict[str, Any]:
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    script = REPOSITORY / "tests" / "engine" / "two_processes.py"
    done = subprocess.run(
        [*command, str(script), str(folder), method],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    result: dict[str, Any] = json.loads((folder / "run" / "result.json").read_text())
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    result["logged"] = [
        {
            k: v
            for k, v in json.loads(line).items()
            if k.endswith(("loss", "step", "norm", "groups")) or k.startswith("assignment")
        }
        for line in lines
    ]
    if (folder / "run" / "affinity.json").exists():
        result["affinity"] = json.loads((folder / "run" / "affinity.json").read_text())["values"]
    return result


def _numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for key in sorted(value) for number in _numbers(value[key])]
    if isinstance(value, list):
        return [number for entry in value for number in _numbers(entry)]
    return [float(value)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [
        "hps",
        "uneven",
        "tag",
        "lookahead",
        "lookahead_first_order",
        "selective",
        "selective_code",
        "dmtg",
        "dmtg_by_example",
    ],
)
def test_two_processes_equal_one(tmp_path: Path, method: str) -> None:
    one = _run(tmp_path / "one", method, processes=1)
    two = _run(tmp_path / "two", method, processes=2)
    assert (one["num_processes"], two["num_processes"]) == (1, 2)
    assert _numbers(two["scores"]) == pytest.approx(_numbers(one["scores"]), rel=1e-6, abs=1e-6)
    assert _numbers(two["logged"]) == pytest.approx(_numbers(one["logged"]), rel=1e-6, abs=1e-6)
    if not method.startswith(("hps", "uneven", "dmtg")):
        assert _numbers(two["affinity"]) == pytest.approx(
            _numbers(one["affinity"]), rel=1e-6, abs=1e-6
        )
