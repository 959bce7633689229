"""The `mtlrun` command. Nothing heavy is imported before it is needed."""

import contextlib
import errno
import logging
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import mtlrun
from mtlrun._catalogue import did_you_mean, options
from mtlrun._config_check import ConfigError
from mtlrun._terminal import results_console, say, show, table
from mtlrun.engine.interrupt import Interrupted, catching_signals

if TYPE_CHECKING:
    from mtlrun.config import Composed

LISTED = {
    "methods": "method", "data": "data", "backbones": "backbone", "weightings": "weighting",
    "solvers": "solver", "optimizers": "optimizer", "schedulers": "scheduler",
    "trainers": "trainer", "loggers": "logger", "experiments": "experiment", "recipes": "recipe",
    "launchers": "launcher",
}  # fmt: skip
HELP = """\
mtlrun runs multi-task learning experiments: it collects how tasks affect each other, plans
groups, trains them and reports.

usage: mtlrun [KEY=VALUE ...]           run (finished work is reused, interrupted work resumed)
       mtlrun -m [KEY=A,B ...]          run every combination, each in a process of its own;
                                        hydra/launcher=joblib|slurm, gpus=0,1, on_error=stop
       mtlrun list [KIND]               what there is: {kinds}
       mtlrun config [KEY=VALUE ...]    check and print the configuration; run nothing
       mtlrun solve FILE --groups M     the best groups by an affinity in a file; solve --help
       mtlrun data NAME [--check]       what a dataset's files are like; data --help
       mtlrun report [FOLDERS]          tables of finished runs, beside the papers'; report --help
       mtlrun --help | --version

examples:
  mtlrun                                            two-minute demonstration on built-in scenes
  mtlrun trainer=smoke method=tag                   every phase of a method, in seconds
  mtlrun -m method=tag,lookahead seed=0,1,2         a sweep; seeds as range(0,3) too
  mtlrun -m experiment=dsmtl/table2 miniature=true  a paper's whole table, in seconds a run
  mtlrun config method=tag trainer.epochs=5         what would be run

Results go to outputs/<data>/<method>/<settings>/seed<k>/ and, as a table, to stdout; progress and
errors go to stderr. Datasets are looked for in $MTLRUN_DATA/<data>. MTLRUN_DEBUG=1 shows the
traceback of every error. Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 data missing or
corrupt, 4 diverged, 130 and 143 interrupted.
"""
OF_SWEEPS = re.compile(r"(hydra/launcher|hydra\.launcher\.\w+|gpus|on_error)=")
# By name, so that telling errors apart imports no torch.
CODES = {
    "mtlrun._config_check.ConfigError": 2,
    "mtlrun.core.data.DataError": 3,
    "mtlrun.core.method.DivergedError": 4,
    "mtlrun.reports.runs.NoRunsError": 3,
}
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: Without the program's name; those of the process by default.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    _hear(logging.getLogger("mtlrun"))
    # Threads that wait by spinning make training ten times slower where another process computes.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        return _dispatch(words)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Interrupted as stopped:
        say(f"mtlrun: {stopped}. The same command goes on from the last checkpoint.")
        return 128 + stopped.signum
    except Exception as error:
        code = _exit_code(error)
        unforeseen = code == 1 and _of_the_disk(error) is None
        if unforeseen or os.environ.get("MTLRUN_DEBUG"):
            say("".join(traceback.format_exception(error)).rstrip())
        say(_explain(error, code))
        return code


class _Said(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(f"mtlrun: {record.getMessage()}")


def _hear(log: logging.Logger) -> None:
    """Has what is logged, such as the progress of long preparations, said on stderr."""
    if not any(isinstance(handler, _Said) for handler in log.handlers):
        log.addHandler(_Said())
        log.setLevel(logging.INFO)


def _dispatch(words: Sequence[str]) -> int:
    if words[:1] in (["solve"], ["data"], ["report"]):  # they have a help of their own
        return COMMANDS[words[0]](words[1:])
    if "--help" in words or "-h" in words:
        show(HELP.format(kinds=", ".join(LISTED)))
        return 0
    if "--version" in words:
        show(mtlrun.__version__)
        return 0
    if words and words[0] in COMMANDS:
        return COMMANDS[words[0]](words[1:])
    settings = [word for word in words if word not in ("-m", "--multirun")]
    with catching_signals():
        if not words:
            return _demonstrate()
        return _run(settings) if len(settings) == len(words) else _sweep(settings)


def _list(words: Sequence[str]) -> int:
    """Prints what there is to choose, one line each."""
    kinds = LISTED | {group: group for group in LISTED.values()}
    if unknown := [word for word in words if word not in kinds]:
        raise ConfigError(
            [
                f"`mtlrun list {word}` lists nothing.{did_you_mean(word, LISTED)} "
                f"Kinds: {', '.join(LISTED)}."
                for word in unknown
            ]
        )
    for kind in words or LISTED:
        if len(words) != 1:
            show(f"{kind}:")
        rows = [[name, text] for name, text in options(kinds[kind]).items()]
        table(["name", "what it is"], rows)
    return 0


def _config(words: Sequence[str]) -> int:
    """Prints the resolved configuration, checked."""
    from mtlrun import config

    show(config.to_yaml(_compose(words)))
    return 0


def _solve(words: Sequence[str]) -> int:
    """Solves a grouping problem alone."""
    from mtlrun._solve_command import solve_command

    return solve_command(words)


def _data(words: Sequence[str]) -> int:
    """Checks or writes a dataset's files."""
    from mtlrun._data_command import data_command

    return data_command(words)


def _report(words: Sequence[str]) -> int:
    """Tables of finished runs."""
    from mtlrun._report_command import report_command

    return report_command(words)


def _run(words: Sequence[str]) -> int:
    """Runs once."""
    composed = _compose(words)
    from mtlrun import config

    if composed.values["trainer"].get("deterministic"):  # what cuBLAS asks for
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    process = os.environ.get("RANK", "0")  # set by torchrun: the others fail because of one
    log = composed.folder / ("error.log" if process == "0" else f"error.{process}.log")
    try:
        setup = config.build(composed)
        from mtlrun.engine.pipeline import run
        from mtlrun.reports.figures import illustrate

        outcome = run(setup, illustrate=illustrate)
    except Exception as error:
        if _exit_code(error) != 2 and not composed.top["dry_run"]:
            with contextlib.suppress(OSError):  # the error itself may be a folder that is read-only
                log.parent.mkdir(parents=True, exist_ok=True)
                log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        raise
    with contextlib.suppress(OSError):
        log.unlink(missing_ok=True)
    if outcome.speaks and not setup.dry_run:
        from mtlrun.reports.summary import print_summary

        print_summary(outcome.result, results_console())
    return 0


def _demonstrate() -> int:
    """Runs the references, then groups that are compared with them."""
    say("Demonstration, first part: every task alone (mtlrun method=single_task)")
    code = _run(["method=single_task"])
    say("Demonstration, second part: groups by affinity (mtlrun experiment=demo)")
    return code or _run(["experiment=demo"])


def _sweep(words: Sequence[str]) -> int:
    """Runs every combination; all are checked before the first begins."""
    problems = _misused(words)
    if problems:
        raise ConfigError(problems)
    from mtlrun._sweep_plan import plan

    return plan(words, _compose).run()


def _compose(words: Sequence[str]) -> "Composed":
    """The checked configuration of a command line; ConfigError with everything that is wrong."""
    problems = _misused(words)
    misplaced = [word for word in words if OF_SWEEPS.match(word)]
    problems += [f"`{word}` says how a sweep is run. Add -m, or remove it." for word in misplaced]
    words = [word for word in words if word not in misplaced]
    settings = [word for word in words if ("=" in word and word[0] != "-") or word[:1] == "~"]
    if problems and not settings:
        raise ConfigError(problems)
    from mtlrun import config

    root = os.environ.get("MTLRUN_DATA")
    try:
        composed = config.compose(settings, data_root=Path(root) if root else None)
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from None
    if problems:
        raise ConfigError(problems)
    return composed


def _misused(words: Sequence[str]) -> list[str]:
    """What is wrong with the words that are no settings."""
    problems = []
    for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False):
        if word.startswith("-"):
            key, _, value = word.lstrip("-").partition("=")
            value = value or (after if "=" not in after else "") or "VALUE"
            problems.append(
                f"`{word}` is no option. Settings are written `{key}={value}`; options are -m, "
                f"--help and --version."
            )
        elif "=" not in word and word[:1] != "~" and before[:1] != "-":
            found = [group for group in LISTED.values() if word in options(group)]
            chosen = [f"`{'hydra/' * (group == 'launcher')}{group}={word}`" for group in found]
            near = f" Did you mean {' or '.join(chosen)}?" if chosen else ""
            problems.append(
                f"`{word}` should be a setting, written KEY=VALUE, or a command "
                f"({', '.join(COMMANDS)}).{near or did_you_mean(word, COMMANDS, 'mtlrun {}')}"
            )
    return problems


def _exit_code(error: Exception) -> int:
    names = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__]
    known = next((CODES[name] for name in names if name in CODES), None)
    if known is not None:
        return known
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    ours = Path(last).is_relative_to(Path(mtlrun.__file__).parent)
    return 2 if isinstance(error, ValueError) and ours else 1  # ours: it says what a user gave


def _of_the_disk(error: Exception) -> str | None:
    """What a full disk or a missing permission asks for; None for other errors."""
    if not isinstance(error, OSError):
        return None
    if error.errno in FULL:
        return (
            f"There should be room for {error.filename or 'a file'}. Found: {error.strerror}. "
            f"Free space and give the same command again: finished trainings and the last "
            f"checkpoint are kept, and it goes on from there."
        )
    if error.errno in UNWRITABLE:
        return (
            f"{error.filename or 'The folder of outputs'} should be where this user may write. "
            f"Found: {error.strerror}. Set outputs=FOLDER to a folder that can be written."
        )
    return None


def _explain(error: Exception, code: int) -> str:
    if "torchvision::nms" in str(error):
        return (
            "mtlrun: torch and torchvision should come from one source. Found a torchvision that "
            "does not fit the installed torch, as PyPI's beside a CPU-only torch. Run "
            "`pip install --force-reinstall torch torchvision` with one index for both."
        )
    if isinstance(error, ConfigError):
        count = len(error.problems)
        head = "one thing is wrong" if count == 1 else f"{count} things are wrong"
        return "\n".join([f"mtlrun: {head}.", *(f"  - {problem}" for problem in error.problems)])
    if (about_disk := _of_the_disk(error)) is not None:
        return f"mtlrun: {about_disk}"
    kind = f"{type(error).__name__}: " if code == 1 else ""
    return f"mtlrun: {kind}{error}"


COMMANDS: Mapping[str, Callable[[Sequence[str]], int]] = {
    "list": _list,
    "config": _config,
    "solve": _solve,
    "data": _data,
    "report": _report,
}
