"""What configuration files there are: their names, and the line that says what each is."""

import difflib
from collections.abc import Iterable
from pathlib import Path


def conf_folder() -> Path:
    """The folder of configuration files: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "conf"
    return inside if (inside / "config.yaml").is_file() else package.parent / "conf"


def options(group: str, conf: Path | None = None) -> dict[str, str]:
    """The files of a group by name, each with its first comment line; none if there is no group."""
    folder = (conf or conf_folder()) / group
    files = sorted(folder.rglob("*.yaml"))
    return {file.relative_to(folder).with_suffix("").as_posix(): describe(file) for file in files}


def describe(file: Path) -> str:
    """The first comment line of a configuration file that is not a directive of its composition."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            return ""
        if not line.lstrip("# ").startswith("@"):
            return line.lstrip("# ").strip()
    return ""


def did_you_mean(word: str, known: Iterable[str], template: str = "{}") -> str:
    """A question that names the nearest known words, each in a form; empty if none is near."""
    near = difflib.get_close_matches(word, list(known), n=3, cutoff=0.6)
    if not near:
        return ""
    return f" Did you mean {' or '.join(f'`{template.format(name)}`' for name in near)}?"
