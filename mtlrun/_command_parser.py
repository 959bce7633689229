"""How the commands beside a run read their words."""

import argparse
from typing import NoReturn


class CommandParser(argparse.ArgumentParser):
    """Raises ValueError for wrong words, where argparse would print and exit."""

    def error(self, message: str) -> NoReturn:
        """Raises."""
        raise ValueError(f"`{self.prog}`: {message}. See `{self.prog} --help`.")
