"""Files that are fetched once, and only when asked for."""

from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from mtlrun.core.files import write_whole

DOWNLOAD = "download"  # what a setting says where a file should be fetched


def fetched_once(
    path: Path, fetch: Callable[[Path], object], *, what: str, setting: str, key: str
) -> Path:
    """A file that is fetched if it is not there yet; processes that ask for it at one time fetch it once.

    Args:
        path: Its place; folders are made.
        fetch: Given the path to write to.
        what: The file holds, for the message.
        setting: That asked for it, such as "weights".
        key: The same with its group, such as "backbone.weights".

    Raises:
        OSError: If it cannot be fetched; it says how to go on without a network.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.is_file():
            try:
                write_whole(path, fetch)
            except Exception as error:  # of the many kinds that networks and hubs raise
                raise OSError(
                    f"`{setting}=download` should fetch {what}. Found "
                    f"{type(error).__name__}: {error}. Where there is no network, put a state_dict "
                    f"file on this machine and set {key} to its path."
                ) from error
    return path
