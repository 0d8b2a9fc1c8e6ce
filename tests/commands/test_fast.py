"""`scripts/test.py --fast` needs no more than what it installs."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pack

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from setup.prepare import FAST_TESTS, TORCH

BLOCKER = """
import sys
from importlib.machinery import PathFinder

NAMES = {names!r}


class Blocker(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        blocked = name.partition(".")[0] in NAMES
        return None if blocked else super().find_spec(name, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = Blocker
"""
"""A plugin of pytest for which these modules are nowhere on the path."""


def needed(*names: str) -> set[str]:
    """These distributions, and all that they require here."""
    found: set[str] = set()
    left = list(names)
    while left:
        name = canonicalize_name(left.pop())
        try:
            requires = distribution(name).requires or ()
        except PackageNotFoundError:
            continue
        if name in found:
            continue
        found.add(name)
        requirements = map(Requirement, requires)
        left += [
            each.name
            for each in requirements
            if each.marker is None or each.marker.evaluate({"extra": ""})
        ]
    return found


def test_the_fast_tests_import_what_is_installed_for_them(tmp_path: Path) -> None:
    packages = [name for stage in (TORCH, FAST_TESTS) for words in stage.installs for name in words]
    installed = needed(*packages)
    blocked = {
        module
        for module, distributions in packages_distributions().items()
        if not any(canonicalize_name(each) in installed for each in distributions)
    }
    assert blocked, "nothing here is missing in a fast environment: this cannot fail"
    (tmp_path / "blocker.py").write_text(BLOCKER.format(names=sorted(blocked)))
    environment = {name: each for name, each in os.environ.items() if name != "COMFYUI_PATH"}
    environment |= {"PYTHONPATH": str(tmp_path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "blocker", "--collect-only", "-q", "tests/unit"],
        cwd=pack.ROOT,
        env=environment,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "test_measure.py" in done.stdout
