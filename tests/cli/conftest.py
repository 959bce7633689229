"""The small folder of configuration files serves the command's tests too."""

from tests.config.conftest import conf

__all__ = ["conf"]
