"""Imports between rooms point one way only."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "mtlrun"

MAY_IMPORT = {
    "core": {"core"},
    "tasks": {"core", "tasks"},
    "backbones": {"core", "backbones"},
    "weightings": {"core", "weightings"},
    "solvers": {"core", "solvers"},
    "data": {"core", "tasks", "data"},
    "networks": {"core", "weightings", "networks"},
    "affinities": {"core", "weightings", "affinities"},
    "updates": {"core", "weightings", "updates"},
    "methods": {"core", "networks", "affinities", "updates", "weightings"},
    "engine": {"core", "engine"},
    "reports": {"core", "reports"},
}
FILES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def _imported_modules(path: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} should import by full names"
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


@pytest.mark.parametrize("path", FILES, ids=str)
def test_rooms_import_only_what_they_may(path: Path) -> None:
    room = path.parts[0]
    if room not in MAY_IMPORT:
        return
    for module in _imported_modules(PACKAGE / path):
        if module.startswith("mtlrun."):
            imported = module.split(".")[1]
            allowed = MAY_IMPORT[room] | ({"__version__"} if room == "engine" else set())
            shared = room == "methods" and module.startswith("mtlrun.methods._")
            assert imported in allowed or shared, f"{path} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_hydra_ortools_and_wandb_stay_in_their_rooms(path: Path) -> None:
    for module in _imported_modules(PACKAGE / path):
        top = module.split(".")[0]
        if top in {"hydra", "omegaconf"}:
            assert path.parts[0] in {"config.py", "cli.py"} or path.parts[0].startswith("_")
        if top == "ortools":
            assert path.parts[0] == "solvers"
        if top == "wandb":
            assert path.name == "wandb_logger.py"


@pytest.mark.parametrize("room", ["core/grouping.py", "core/identity.py", "solvers"])
def test_solvers_need_no_torch(room: str) -> None:
    paths = [PACKAGE / room] if room.endswith(".py") else (PACKAGE / room).glob("*.py")
    for path in paths:
        assert not {m for m in _imported_modules(path) if m.split(".")[0] == "torch"}
