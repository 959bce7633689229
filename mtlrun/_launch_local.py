"""Runs as processes of this machine."""

import os
import subprocess
from collections.abc import Mapping, Sequence

from mtlrun._launch import Job, Launcher, Started

WITH_PARENT = "MTLRUN_ENDS_WITH"  # read in __main__: the process that a run ends with


class Processes(Launcher):
    """Starts runs as processes of this machine, one after another or several at a time.

    Args:
        n_jobs: Runs at a time; -1 for as many as there are processors.
        gpus: Numbers of the GPUs that are shared out, one to a run; then there are as many runs at a
            time as GPUs. None to let every run choose, the first GPU by default.
    """

    def __init__(self, *, n_jobs: int = 1, gpus: Sequence[int] | int | None = None) -> None:
        if n_jobs < 1 and n_jobs != -1:
            raise ValueError(
                f"`n_jobs` should be at least 1, or -1 for all processors. Found `n_jobs = {n_jobs}`. "
                f"Set hydra.launcher.n_jobs."
            )
        gpus = [gpus] if isinstance(gpus, int) else gpus
        if gpus is not None and (not gpus or len(set(gpus)) < len(gpus) or min(gpus) < 0):
            raise ValueError(
                f"`gpus` should be numbers of GPUs, each once. Found {list(gpus)}. Set gpus=0,1."
            )
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        self._cores = cores or 1
        self._free = None if gpus is None else list(gpus)
        self._given: dict[_Process, int] = {}
        self.num_at_once = len(gpus) if gpus is not None else self._cores if n_jobs < 0 else n_jobs
        self.echoes = self.num_at_once == 1

    def start(self, jobs: Sequence[Job]) -> list[Started]:
        """One process each."""
        return [self._start(job) for job in jobs]

    def _start(self, job: Job) -> Started:
        environment = {WITH_PARENT: str(os.getpid())}
        if not self.echoes:  # processes that each take all processors slow each other down
            threads = max(1, self._cores // (self.num_at_once or 1))
            environment["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", str(threads))
        gpu = self._take()
        if gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = str(gpu)
        process = _Process(job, environment)
        if gpu is not None:
            self._given[process] = gpu
        return process

    def _take(self) -> int | None:
        if self._free is None:
            return None
        for process in [own for own in self._given if own.poll() is not None]:
            self._free.append(self._given.pop(process))
        return self._free.pop(0)


class _Process:
    def __init__(self, job: Job, environment: Mapping[str, str]) -> None:
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with job.log.open("ab") as log:
            self._process = subprocess.Popen(
                job.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | environment,
            )

    def poll(self) -> int | None:
        code = self._process.poll()
        return code if code is None or code >= 0 else 128 - code

    def stop(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()
