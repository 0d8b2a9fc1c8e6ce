"""Loads the pack and marks the tests that need a host."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
HOST_FOLDERS = {"comfy", "contract"}

sys.path.insert(0, str(TESTS / "support"))

import pack  # noqa: E402

pack.load()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests in host folders are marked, so that `--fast` can leave them out."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in HOST_FOLDERS:
            item.add_marker(pytest.mark.comfy)
        elif folder == "reference":
            item.add_marker(pytest.mark.reference)
