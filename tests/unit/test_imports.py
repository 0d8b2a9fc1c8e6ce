"""Tests, scripts and benchmarks import as a person would: at the top, and from a path set once."""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from itertools import combinations
from pathlib import Path

import pack

import pytest

PATH_IS_SET_IN = {
    "tests/support/pack.py": "scripts and tests/reference, and not the root",
    "tests/support/host.py": "the ComfyUI that is booted",
    "scripts/paths.py": "where a script finds pack.py",
    "benchmarks/__init__.py": "where a benchmark finds pack.py",
    "scripts/demonstration/__main__.py": "an embedded Python knows not even the script's folder",
    "demo/train/models.py": "the ComfyUI that a person names",
}
"""All files that may touch `sys.path`, and what for."""
FOLDERS = ("tests", "scripts", "benchmarks", "demo")
FILES = {
    path.relative_to(pack.ROOT).as_posix(): path.read_text(encoding="utf-8")
    for folder in FOLDERS
    for path in (pack.ROOT / folder).rglob("*.py")
}


def touches_path(source: str) -> bool:
    """Whether `sys.path` stands in a source, read or changed."""
    return any(
        (isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.path")
        or (isinstance(node, ast.ImportFrom) and node.module == "sys")
        for node in ast.walk(ast.parse(source))
    )


def excuses_a_late_import(source: str) -> bool:
    """Whether a comment tells ruff to let an import stand below other code."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return any(each.type == tokenize.COMMENT and "E402" in each.string for each in tokens)


def modules_of(folder: str) -> set[str]:
    """What can be imported when a folder is on the path."""
    found = {each.stem for each in (pack.ROOT / folder).iterdir() if each.suffix in ("", ".py")}
    return found - {"__pycache__"}


def test_the_path_is_set_in_few_places() -> None:
    assert {name for name, source in FILES.items() if touches_path(source)} == {*PATH_IS_SET_IN}


def test_imports_stand_at_the_top() -> None:
    assert [name for name, source in FILES.items() if excuses_a_late_import(source)] == []
    assert "E402" not in Path(pack.ROOT, "pyproject.toml").read_text(encoding="utf-8")


def test_no_module_hides_another() -> None:
    folders = [modules_of(name) for name in ("tests/support", "scripts", "tests/reference")]
    for some, others in combinations(folders, 2):
        assert not some & others
    # "test", which is no name of the library's, is hidden by none: pack puts scripts last.
    assert not {*sys.stdlib_module_names} & set().union(*folders)


@pytest.mark.parametrize(
    "line",
    ["sys.path.append('x')", "sys.path[:0] = ['x']", "sys.path += ['x']", "from sys import path"],
)
def test_an_edit_of_the_path_is_seen(line: str) -> None:
    assert touches_path(line)
    assert not touches_path(f"{line!r}  # {line}")


def test_an_excuse_is_seen() -> None:
    late = "x = 1\nimport y  # noqa: E402\n"
    assert excuses_a_late_import(late)
    assert not excuses_a_late_import(f"late = {late!r}\n")
