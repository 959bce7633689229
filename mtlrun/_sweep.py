"""The runs of a sweep, in processes of their own."""

import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mtlrun._launch import Echo, Job, Launcher, Started
from mtlrun._launch_local import Processes
from mtlrun._terminal import say, table
from mtlrun.engine.interrupt import deferred, stop_requested

LOG = "run.log"  # in the run's folder
ASK_AGAIN_SECONDS = 10.0
MEANINGS = {
    1: "failed", 2: "failed: settings", 3: "failed: data", 4: "failed: diverged",
    130: "interrupted", 143: "interrupted",
}  # fmt: skip


@dataclass(frozen=True)
class Planned:
    """A run of a sweep.

    Attributes:
        words: Its settings.
        folder: Of the run.
        is_done: Whether it need not be started, as its result is there.
    """

    words: tuple[str, ...]
    folder: Path
    is_done: bool = False

    @property
    def log(self) -> Path:
        """What it printed, of all attempts."""
        return self.folder / LOG


@dataclass
class _State:
    """A run on its way."""

    run: Planned
    outcome: str = ""
    begin: float = 0.0
    seconds: float | None = None
    started: Started | None = None
    asked: float | None = None

    @property
    def has_failed(self) -> bool:
        return self.outcome.startswith("failed")

    @property
    def is_over(self) -> bool:
        return self.outcome != "" and self.started is None


@dataclass
class Sweep:
    """Runs all and prints what became of each.

    Attributes:
        runs: In order.
        launcher: Starts them.
        on_error: Whether others are begun after one has failed; those on their way go on anyway.
        command: Before the settings; this interpreter with mtlrun by default.
    """

    runs: Sequence[Planned]
    launcher: Launcher = field(default_factory=Processes)
    on_error: Literal["continue", "stop"] = "continue"
    command: Sequence[str] = (sys.executable, "-m", "mtlrun")

    def run(self) -> int:
        """0, or 1 if a run failed, was ended from outside or was not begun.

        Raises:
            Interrupted: If a signal came; the runs that were on their way have saved checkpoints.
        """
        states = [_State(run, "reused" if run.is_done else "") for run in self.runs]
        self._say_plan(states)
        with deferred():
            try:
                self._drive(states)
            except KeyboardInterrupt:  # the second Ctrl-C
                for state in states:
                    if state.started is not None:
                        state.started.kill()
                raise
            self._print(states)
        return 0 if all(state.outcome in ("done", "reused") for state in states) else 1

    def _say_plan(self, states: Sequence[_State]) -> None:
        num_done = sum(state.is_over for state in states)
        say(f"Sweep: {len(states)} runs, {num_done} of them done before.")

    def _drive(self, states: Sequence[_State]) -> None:
        echoes: dict[int, Echo] = {}
        while True:
            stopping = stop_requested()
            failed = self.on_error == "stop" and any(state.has_failed for state in states)
            waiting = [state for state in states if not state.outcome and state.started is None]
            if not stopping and not failed and waiting:
                self._begin(waiting, states, echoes)
            active = [state for state in states if state.started is not None]
            if not active:
                break
            for state in active:
                if stopping:
                    _ask(state)
                self._look(state, states)
                if self.launcher.echoes:
                    echoes[id(state)].show()
            if any(state.started is not None for state in active):
                time.sleep(self.launcher.poll_seconds)
        for state in states:
            state.outcome = state.outcome or "not begun"

    def _begin(
        self, waiting: Sequence[_State], states: Sequence[_State], echoes: dict[int, Echo]
    ) -> None:
        limit = self.launcher.num_at_once
        num_active = sum(state.started is not None for state in states)
        chosen = waiting if limit is None else waiting[: limit - num_active]
        if not chosen:
            return
        for state in chosen:
            log = "" if self.launcher.echoes else f" > {state.run.log}"
            say(f"{self._number(state, states)} mtlrun {shlex.join(state.run.words)}{log}")
            echoes[id(state)] = Echo(state.run.log)
        jobs = [Job((*self.command, *s.run.words), s.run.log.resolve()) for s in chosen]
        for state, started in zip(chosen, self.launcher.start(jobs), strict=True):
            state.started, state.begin = started, time.monotonic()

    def _look(self, state: _State, states: Sequence[_State]) -> None:
        assert state.started is not None
        code = state.started.poll()
        if code is None:
            return
        state.started = None
        state.seconds = time.monotonic() - state.begin
        state.outcome = MEANINGS.get(code, f"failed: exit code {code}") if code else "done"
        if code or not self.launcher.echoes:
            name = f"{self._number(state, states)} {state.outcome} in {state.seconds:.0f} s"
            say(name if not code else f"{name}: see {state.run.log}")

    def _number(self, state: _State, states: Sequence[_State]) -> str:
        position = next(k for k, other in enumerate(states, start=1) if other is state)
        return f"[{position}/{len(states)}]"

    def _print(self, states: Sequence[_State]) -> None:
        rows = [
            [
                _name(state.run, self.runs),
                state.outcome,
                "" if state.seconds is None else f"{state.seconds:.0f} s",
                str(state.run.log if state.has_failed else state.run.folder),
            ]
            for state in states
        ]
        table(["run", "outcome", "time", "folder or log"], rows)
        counts = {state.outcome.partition(":")[0]: 0 for state in states}
        for state in states:
            counts[state.outcome.partition(":")[0]] += 1
        say(
            "Sweep: " + ", ".join(f"{number} {outcome}" for outcome, number in counts.items()) + "."
        )
        if len(counts.keys() - {"done", "reused"}):
            say("The same command goes on: it runs what is not done, and resumes what was begun.")


def _ask(state: _State) -> None:
    """Asks a run to end, and again after a while: it may not have listened yet."""
    assert state.started is not None
    if state.asked is None or time.monotonic() - state.asked > ASK_AGAIN_SECONDS:
        state.asked = time.monotonic()
        state.started.stop()


def _name(run: Planned, runs: Sequence[Planned]) -> str:
    """The settings that differ between the runs."""
    common = set(run.words).intersection(*(other.words for other in runs))
    own = [word for word in run.words if word not in common]
    return " ".join(own) or " ".join(run.words) or "default"
