"""Loads folders of this repository under fixed names, by path: as ComfyUI loads packs.

The repository's root must not be on ``sys.path``: its ``nodes`` folder would hide ComfyUI's own
``nodes`` module.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]


def load() -> None:
    """Make ``stepcache`` (the pack), ``demo`` and ``benchmarks`` importable."""
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
    folders = {"stepcache": ROOT} | {name: ROOT / name for name in ("demo", "benchmarks")}
    for name, folder in folders.items():
        if name not in sys.modules:
            _load_package(name, folder)


def script(name: str) -> ModuleType:
    """A program of the folder scripts as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _load_package(name: str, folder: Path) -> None:
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
