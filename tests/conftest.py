"""Loads the pack and the demo under fixed names, as ComfyUI would: by path, not by sys.path.

The repository's root must not be on ``sys.path``: its ``nodes`` folder would hide ComfyUI's own
``nodes`` module.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOST_FOLDERS = {"comfy", "contract"}

sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
sys.path.insert(0, str(ROOT / "tests" / "support"))


def _load_package(name: str, folder: Path) -> None:
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


_load_package("stepcache", ROOT)
_load_package("demo", ROOT / "demo")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests in host folders are marked, so that `--fast` can leave them out."""
    for item in items:
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        if folder in HOST_FOLDERS:
            item.add_marker(pytest.mark.comfy)
        elif folder == "reference":
            item.add_marker(pytest.mark.reference)
