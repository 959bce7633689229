"""`mtlrun data`: what a dataset's files are like, and small copies of its layout."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from mtlrun import config
from mtlrun._catalogue import did_you_mean, options
from mtlrun._command_parser import CommandParser
from mtlrun._terminal import show


def data_command(words: Sequence[str]) -> int:
    """Checks a dataset's files, writes a small copy of its layout, or both.

    Args:
        words: The command's words after `data`.

    Returns:
        The exit code: 3 where the check finds errors.

    Raises:
        ValueError: If words or settings are bad, or the dataset cannot do what is asked.
        DataError: If the splits cannot be opened.
    """
    parser = _parser()
    if "--help" in words or "-h" in words:
        show(parser.format_help())
        return 0
    asked, settings = parser.parse_known_args(list(words))
    _check_words(asked.name, settings)
    if asked.miniature is not None:
        settings = [word for word in settings if not word.startswith("data.root=")]
        settings.append(f"data.root={asked.miniature}")
    root = os.environ.get("MTLRUN_DATA")
    composed = config.compose(
        [f"data={asked.name}", *settings], data_root=Path(root) if root else None
    )
    make = composed.factories["data"]
    if asked.miniature is not None:
        write = getattr(make(), "write_miniature", None)
        if write is None:
            raise ValueError(
                f"`--miniature` should be asked of a dataset of files. Found `{asked.name}`, which has "
                f"none to copy. Leave it out."
            )
        write(asked.miniature)
        show(f"Wrote a small copy of {asked.name} to {asked.miniature}.")
        show(f"Try it: mtlrun data={asked.name} data.root={asked.miniature} trainer=smoke")
        if not asked.check:
            return 0
    source = make()
    if asked.check and hasattr(source, "check"):
        errors = 0
        for finding in source.check():
            errors += finding.is_error
            show(f"{'ERROR ' if finding.is_error else ''}{finding.text}")
        show(f"{errors} error(s)." if errors else "No errors.")
        return 3 if errors else 0
    for split in ("train", "val", "test"):
        show(f"Split `{split}`: {len(source.split(split))} examples.")
    show(f"Tasks: {', '.join(task.name for task in source.tasks)}.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="mtlrun data",
        usage="mtlrun data NAME [--check] [--miniature DIR] [data.KEY=VALUE ...]",
        description="What a dataset's files are like.",
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME", help="as in `mtlrun list data`")
    parser.add_argument(
        "--check", action="store_true", help="read every file; exit code 3 where one is wrong"
    )
    parser.add_argument(
        "--miniature", type=Path, metavar="DIR", help="write a small, valid copy of the layout"
    )
    return parser


def _check_words(name: str, settings: Sequence[str]) -> None:
    known = options("data")
    if name not in known:
        raise ValueError(
            f"`mtlrun data` should name one of {', '.join(known)}. Found `{name}`."
            f"{did_you_mean(name, known)}"
        )
    for word in settings:
        if not word.startswith("data.") or "=" not in word:
            raise ValueError(
                f"`mtlrun data` should be given settings data.KEY=VALUE. Found `{word}`. See "
                f"`mtlrun data --help`."
            )
