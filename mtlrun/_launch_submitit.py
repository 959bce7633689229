"""Runs as jobs of a cluster, by submitit; each job starts its run as a process and watches it.

When the scheduler announces the end of a job, by time or for another's sake, submitit's handler calls
`checkpoint`: the run saves itself and ends, and the job goes back into the queue, where it resumes.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import submitit

from mtlrun._launch import Job, Launcher, Started
from mtlrun._launch_local import WITH_PARENT
from mtlrun._terminal import say

POLL_SECONDS = 0.1


class Watched:
    """What a job calls: a run as a process, which ends after a checkpoint when the job has to.

    Args:
        job: The run.
        patience: Seconds for which a job that was asked to end by SIGTERM waits to be queued again.
    """

    def __init__(self, job: Job, patience: float) -> None:
        self.job = job
        self.patience = patience
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """The exit code of the run."""
        self.job.log.parent.mkdir(parents=True, exist_ok=True)
        with self.job.log.open("ab") as log:
            self._process = process = subprocess.Popen(
                self.job.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {WITH_PARENT: str(os.getpid())},
            )
        signal.signal(signal.SIGTERM, self._pass_on)
        while (code := process.poll()) is None:
            time.sleep(POLL_SECONDS)
        if code in (128 + signal.SIGTERM, -signal.SIGTERM):
            time.sleep(self.patience)
        return code if code >= 0 else 128 - code

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """Ends the run after a checkpoint; what is given back goes into the queue."""
        if self._process is not None:
            self._process.terminate()
            while _is_alive(self._process.pid):
                time.sleep(POLL_SECONDS)
        return submitit.helpers.DelayedSubmission(Watched(self.job, self.patience))

    def _pass_on(self, signum: int, frame: FrameType | None) -> None:
        if self._process is not None and self._process.returncode is None:
            os.kill(self._process.pid, signal.SIGTERM)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_process": None}


class _Submitted:
    def __init__(self, job: "submitit.Job[int]", stop: Callable[["submitit.Job[int]"], None]):
        self._job, self._stop, self._asked = job, stop, False

    def poll(self) -> int | None:
        if not self._job.done():
            return None
        try:
            return self._job.result()
        except Exception as error:  # of any kind: the job's, the scheduler's, a lost file
            if self._asked:
                return 128 + signal.SIGTERM
            reason = str(error).strip().splitlines() or [type(error).__name__]
            say(f"Job {self._job.job_id} ended without a result: {reason[-1]}")
            return 1

    def stop(self) -> None:
        self._asked = True
        self._stop(self._job)

    def kill(self) -> None:
        self._job.cancel()


class Slurm(Launcher):
    """Submits all runs as one array of jobs, and waits for them.

    Args:
        folder: Of submitit's files.
        partition: None for the cluster's default.
        account: None for the default one.
        qos: None for the default one.
        constraint: On nodes; None for none.
        timeout: Minutes of a job; a run that needs more goes on in the next one.
        timeouts: How often a job that ran out of time is queued again.
        gpus: Of a job.
        cpus: Of a job.
        memory: GB of a job; None for the default.
        array_parallelism: Jobs at a time.
        signal_seconds: How long before its end a job is told, to save itself.
        setup: Lines of shell that come before the command.
        additional: Further options of sbatch, by name.
    """

    num_at_once = None
    poll_seconds = 5.0

    def __init__(
        self,
        *,
        folder: Path = Path("outputs/submitit"),
        partition: str | None = None,
        account: str | None = None,
        qos: str | None = None,
        constraint: str | None = None,
        timeout: int = 720,
        timeouts: int = 20,
        gpus: int = 1,
        cpus: int = 4,
        memory: float | None = None,
        array_parallelism: int = 64,
        signal_seconds: int = 120,
        setup: Sequence[str] = (),
        additional: Mapping[str, Any] | None = None,
    ) -> None:
        given: dict[str, Any] = {
            "timeout_min": timeout,
            "gpus_per_node": gpus,
            "cpus_per_task": cpus,
            "mem_gb": memory,
            "slurm_partition": partition,
            "slurm_account": account,
            "slurm_qos": qos,
            "slurm_constraint": constraint,
            "slurm_array_parallelism": array_parallelism,
            "slurm_signal_delay_s": signal_seconds,
            "slurm_setup": list(setup) or None,
            "slurm_additional_parameters": dict(additional or {}) or None,
            "slurm_job_name": "mtlrun",
        }
        try:
            self._executor = submitit.AutoExecutor(
                folder / "%j", cluster="slurm", slurm_max_num_timeout=timeouts
            )
        except RuntimeError as error:
            raise ValueError(
                f"`hydra/launcher=slurm` should be used where sbatch is. Found: {error}. Use "
                f"hydra/launcher=joblib for several processes of this machine."
            ) from error
        self._executor.update_parameters(**{k: v for k, v in given.items() if v is not None})
        self._patience = float(signal_seconds)

    def start(self, jobs: Sequence[Job]) -> list[Started]:
        """One array of jobs."""
        with self._executor.batch():
            submitted = [self._executor.submit(Watched(job, self._patience)) for job in jobs]
        say(f"Submitted {len(jobs)} jobs: {submitted[0].job_id} to {submitted[-1].job_id}.")
        return [_Submitted(job, lambda own: own.cancel()) for job in submitted]


class SubmititLocal(Launcher):
    """Runs submitit's jobs on this machine: to try on it what `slurm` does on a cluster.

    Args:
        folder: Of submitit's files.
        n_jobs: Jobs at a time.
        timeout: Minutes of a job.
        signal_seconds: How long before its end a job is told, to save itself.
    """

    def __init__(
        self,
        *,
        folder: Path = Path("outputs/submitit"),
        n_jobs: int = 1,
        timeout: int = 720,
        signal_seconds: int = 120,
    ) -> None:
        self.num_at_once = n_jobs
        self._executor = submitit.LocalExecutor(folder / "%j", max_num_timeout=20)
        self._executor.update_parameters(timeout_min=timeout, signal_delay_s=signal_seconds)

    def start(self, jobs: Sequence[Job]) -> list[Started]:
        """One job each."""
        return [
            _Submitted(self._executor.submit(Watched(job, patience=0.0)), _terminate)
            for job in jobs
        ]


def _terminate(job: "submitit.Job[int]") -> None:
    """SIGTERM to the job's controller, which passes it on."""
    os.kill(int(job.job_id), signal.SIGTERM)


def _is_alive(pid: int) -> bool:
    """Whether a child runs; asked in a signal's handler, so without the locks of Popen."""
    try:
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return False
