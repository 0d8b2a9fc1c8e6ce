"""Loads folders of this repository under fixed names, by path: as ComfyUI loads packs.

Import it first.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = tuple(str(ROOT / folder) for folder in ("scripts", "tests/reference"))
"""Folders of modules that are no packages."""


def _load() -> None:
    """Make ``stepcache`` (the pack), ``demo``, ``benchmarks`` and modules of scripts importable.

    The repository's root must not be on ``sys.path``: its ``nodes`` folder would hide ComfyUI's own
    ``nodes`` module. Folders of modules come last: ``test.py`` must not hide what has that name.
    """
    others = (each for each in sys.path if Path(each or ".").resolve() != ROOT)
    sys.path[:] = dict.fromkeys([*others, *MODULES])
    folders = {"stepcache": ROOT} | {name: ROOT / name for name in ("demo", "benchmarks")}
    for name, folder in folders.items():
        if name not in sys.modules:
            _load_package(name, folder)


def _load_package(name: str, folder: Path) -> None:
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


_load()
