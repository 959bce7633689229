"""A run that dies resumes exactly where it was."""

import json
import os
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mtlrun.core.data import DataError
from mtlrun.core.method import DivergedError, StepOutput
from mtlrun.engine.files import read_tensors, write_tensors
from mtlrun.engine.fit import Training
from mtlrun.engine.interrupt import Interrupted, catching_signals
from mtlrun.engine.pipeline import run
from mtlrun.engine.schedules import Poly
from mtlrun.methods.single_task import SingleTask
from mtlrun.updates.joint import Joint
from tests.toy import ToyData, toy_setup


class Killed(Exception):
    """Stands for a kill: nothing is tidied up."""


def _die_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Lets the process die before its given step (counted from 1 over all trainings)."""
    counter = iter(range(1, 10_000))
    original = Joint.step

    def stepping(self: Joint, batch: object) -> StepOutput:
        if next(counter) == step:
            raise Killed
        return original(self, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(Joint, "step", stepping)


def _weights(folder: Path) -> list[torch.Tensor]:
    found = sorted((folder / "run" / "checkpoints").glob("*.pt"))
    assert found
    return [t for path in found for t in torch.load(path, weights_only=True).values()]


@pytest.mark.parametrize("step", [1, 2, 5, 6, 11, 15])
@pytest.mark.parametrize("select", ["last", "best_val"])
def test_a_killed_run_resumes_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, select: str
) -> None:
    trainer = {"checkpoint_every": 3, "select": select}
    whole = run(toy_setup(tmp_path / "whole", trainer=trainer, schedule=Poly()))
    with monkeypatch.context() as patch:
        _die_at(patch, step)
        with pytest.raises(Killed):
            run(toy_setup(tmp_path / "killed", trainer=trainer, schedule=Poly()))
    again = run(toy_setup(tmp_path / "killed", trainer=trainer, schedule=Poly()))
    assert again.result["scores"] == whole.result["scores"]
    for one, other in zip(_weights(tmp_path / "whole"), _weights(tmp_path / "killed"), strict=True):
        assert torch.equal(one, other)
    logs = [
        [
            {k: v for k, v in json.loads(line).items() if k != "training"}
            for line in (tmp_path / name / "run" / "metrics.jsonl").read_text().splitlines()
        ]
        for name in ("whole", "killed")
    ]
    assert logs[0] == logs[1]


def test_a_run_killed_twice_in_different_trainings_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = {"checkpoint_every": 2}
    whole = run(toy_setup(tmp_path / "whole", method=SingleTask(), trainer=trainer))
    for step in (20, 16):
        with monkeypatch.context() as patch:
            _die_at(patch, step)
            with pytest.raises(Killed):
                run(toy_setup(tmp_path / "killed", method=SingleTask(), trainer=trainer))
    again = run(toy_setup(tmp_path / "killed", method=SingleTask(), trainer=trainer))
    assert again.result["scores"] == whole.result["scores"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_checkpoint_of_the_step_it_came_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    whole = run(toy_setup(tmp_path / "whole"))
    original = Joint.step

    def stepping(self: Joint, batch: object) -> StepOutput:
        output = original(self, batch)  # type: ignore[arg-type]
        counter.append(1)
        if len(counter) == 7:
            os.kill(os.getpid(), number)
        return output

    counter: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(Joint, "step", stepping)
        with catching_signals(), pytest.raises(Interrupted) as caught:
            run(toy_setup(tmp_path / "stopped"))
    assert caught.value.signum == number
    (checkpoint,) = (tmp_path / "stopped" / "store").glob("*/checkpoint.pt")
    assert torch.load(checkpoint, weights_only=True)["standing"]["step"] == 7
    again = run(toy_setup(tmp_path / "stopped"))
    assert again.result["scores"] == whole.result["scores"]


def test_a_death_while_writing_a_checkpoint_leaves_the_previous_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = {"checkpoint_every": 3}
    whole = run(toy_setup(tmp_path / "whole", trainer=trainer))
    write, calls = Path.write_bytes, []

    def writing(path: Path, content: bytes) -> int:
        calls.append(path)
        if len(calls) < 3:
            return write(path, content)
        write(path, content[:100])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", writing)
        with pytest.raises(OSError, match=r"No space left.*checkpoint\.pt"):
            run(toy_setup(tmp_path / "full", trainer=trainer))
    (folder,) = (p for p in (tmp_path / "full" / "store").iterdir() if p.name != "locks")
    assert torch.load(folder / "checkpoint.pt", weights_only=True)["standing"]["step"] == 6
    assert not list(folder.glob(".partial*"))
    again = run(toy_setup(tmp_path / "full", trainer=trainer))
    assert again.result["scores"] == whole.result["scores"]


def _flip_a_bit(path: Path) -> None:
    """Of the middle of the largest tensor."""
    with zipfile.ZipFile(path) as archive:
        record = max(archive.infolist(), key=lambda info: info.file_size)
        content = archive.read(record)
    data = bytearray(path.read_bytes())
    data[data.index(content, record.header_offset) + len(content) // 2] ^= 1
    path.write_bytes(bytes(data))


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [_flip_a_bit, _truncate])
def test_a_damaged_checkpoint_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    trainer = {"checkpoint_every": 3}
    with monkeypatch.context() as patch:
        _die_at(patch, 8)
        with pytest.raises(Killed):
            run(toy_setup(tmp_path, trainer=trainer))
    (checkpoint,) = (tmp_path / "store").glob("*/checkpoint.pt")
    damage(checkpoint)
    with pytest.raises(DataError, match=r"checkpoint\.pt.*Delete it and run again"):
        run(toy_setup(tmp_path, trainer=trainer))


@pytest.mark.parametrize("name", ["best.pt", "checkpoint.pt"])
def test_a_training_whose_best_weights_are_lost_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    settings = {"trainer": {"epochs": 60, "patience": 2, "select": "best_val"}}
    whole = run(toy_setup(tmp_path / "whole", data=ToyData(noise=2.0), **settings))  # type: ignore[arg-type]

    def die(self: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Training, "select", die)
        with pytest.raises(Killed):
            run(toy_setup(tmp_path / "killed", data=ToyData(noise=2.0), **settings))  # type: ignore[arg-type]
    (file,) = (tmp_path / "killed" / "store").glob(f"*/{name}")
    file.unlink()
    again = run(toy_setup(tmp_path / "killed", data=ToyData(noise=2.0), **settings))  # type: ignore[arg-type]
    assert again.result["scores"] == whole.result["scores"]


def test_another_number_of_processes_can_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = {"checkpoint_every": 3}
    whole = run(toy_setup(tmp_path / "whole", trainer=trainer))
    with monkeypatch.context() as patch:
        _die_at(patch, 8)
        with pytest.raises(Killed):
            run(toy_setup(tmp_path / "killed", trainer=trainer))
    (checkpoint,) = (tmp_path / "killed" / "store").glob("*/checkpoint.pt")
    state = read_tensors(checkpoint)
    write_tensors(checkpoint, state | {"processes": state["processes"] * 2})
    again = run(toy_setup(tmp_path / "killed", trainer=trainer))
    assert again.result["scores"] == whole.result["scores"]


def test_what_a_killed_process_left_half_written_does_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        _die_at(patch, 8)
        with pytest.raises(Killed):
            run(toy_setup(tmp_path))
    (folder,) = (p for p in (tmp_path / "store").iterdir() if p.name != "locks")
    (folder / ".partial-1-checkpoint.pt").write_bytes(b"half")
    run(toy_setup(tmp_path))
    assert not list(folder.glob(".partial*"))


def test_a_loss_that_is_not_finite_names_task_phase_and_step(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"phase train, step 1.*task `b`"):
        run(toy_setup(tmp_path, data=ToyData(bad_from=0)))
    assert not (tmp_path / "run" / "result.json").exists()
