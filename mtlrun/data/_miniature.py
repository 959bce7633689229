"""What all miniatures have in common."""

from pathlib import Path


def refuse_copy(path: Path, name: str) -> None:
    """Raises where a miniature would be written over a copy.

    Args:
        path: Of a file or folder in the folder of a copy.
        name: Of the dataset.

    Raises:
        ValueError: If the path exists.
    """
    if path.exists():
        raise ValueError(
            f"A miniature should be written to a folder without a copy of {name}. Found one in "
            f"`{path.parent}`. Name another folder."
        )
