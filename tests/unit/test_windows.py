"""What Windows asks of files, of which the other systems have nothing to say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN_BY_PEOPLE = ("__init__.py", "nodes", "cache_core", "speed", "demo", "scripts")
DEVICES = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9])(\..*)?", re.IGNORECASE)
"""Names of devices, with any ending: no file can have them."""
LONGEST = 110
"""Paths end at 259 letters, and ComfyUI's folders above ours are as long as people make them."""


def tracked() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("needs a checkout")
    listed = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, encoding="utf-8")
    return [name for name in listed.split("\0") if name]


def test_every_file_can_be_written_on_windows() -> None:
    for name in tracked():
        assert len(name) <= LONGEST, name
        for part in PurePosixPath(name).parts:
            assert re.fullmatch(r'[^<>:"\\|?*\x00-\x1f]*[^<>:"\\|?*\x00-\x1f. ]', part), name
            assert not DEVICES.fullmatch(part), name


def test_no_two_names_differ_by_case_alone() -> None:
    paths = {path for name in tracked() for path in (name, *map(str, PurePosixPath(name).parents))}
    assert len({path.casefold() for path in paths}) == len(paths)


def test_files_are_opened_with_an_encoding() -> None:
    """Windows takes its code page otherwise. The rule is ruff's, and not yet in its usual ones."""
    rule = ("--preview", "--select", "PLW1514")
    command = [sys.executable, "-m", "ruff", "check", "--quiet", "--no-cache", *rule]
    done = subprocess.run([*command, *RUN_BY_PEOPLE], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
