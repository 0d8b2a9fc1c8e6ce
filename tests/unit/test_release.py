"""Releases: what makes a version, what is packed, and what a tag has to name."""

from __future__ import annotations

import re
import subprocess
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import build_archive
import bump_version
import pytest
from PIL import Image
from setup.errors import StepError
from stepcache.cache_core.version import VERSION

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TODAY = date(2026, 5, 4)
CHANGELOG = """\
# Changelog

## Unreleased

* A node.

## 0.2.0 (2026-01-02)

* Another node.
"""
PROJECT = """\
[project]
name = "pack"
version = "0.2.0"

[tool.checker]
pythonVersion = "3.10"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small pack, under git, with all it has committed."""
    files = {
        "pyproject.toml": PROJECT,
        "CHANGELOG.md": CHANGELOG,
        "cache_core/version.py": '"""The version."""\n\nVERSION = "0.2.0"\n',
        "__init__.py": "",
        "web/two words.js": "1;\n",
        "tests/test_pack.py": "",
        ".comfyignore": "# not packed\n/tests/\n/.comfyignore\n",
        ".gitignore": "/dist/\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    commit(tmp_path)
    return tmp_path


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True)


def commit(root: Path) -> None:
    person = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    git(root, *person, "commit", "--quiet", "--all", "--message", "A change")


def contents(root: Path) -> dict[str, bytes]:
    """Every file outside of git's own folder."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in files
        if ".git" not in path.relative_to(root).parts
    }


def test_a_version_is_set_everywhere_and_its_changes_are_dated(root: Path) -> None:
    before = contents(root)
    bump_version.bump(root, "0.3.0", TODAY)
    after = contents(root)
    told = {"pyproject.toml", "cache_core/version.py", "CHANGELOG.md"}
    assert {name for name in after if after[name] != before.get(name)} == told
    assert after["pyproject.toml"].decode() == PROJECT.replace("0.2.0", "0.3.0")
    assert after["cache_core/version.py"].decode().endswith('VERSION = "0.3.0"\n')
    assert after["CHANGELOG.md"].decode() == CHANGELOG.replace(
        "## Unreleased\n", "## Unreleased\n\n## 0.3.0 (2026-05-04)\n"
    )


@pytest.mark.parametrize(
    ("version", "why"),
    [
        ("0.2.0", "does not follow 0.2.0"),
        ("0.1.9", "does not follow 0.2.0"),
        ("0.10", "is no version"),
        ("v0.3.0", "is no version"),
        ("0.3.0rc1", "is no version"),
        ("0.03.0", "is no version"),
    ],
)
def test_a_version_that_does_not_follow_is_refused(root: Path, version: str, why: str) -> None:
    before = contents(root)
    with pytest.raises(StepError, match=why):
        bump_version.bump(root, version, TODAY)
    assert contents(root) == before


def test_versions_are_compared_as_numbers(root: Path) -> None:
    bump_version.bump(root, "0.10.0", TODAY)
    assert bump_version.version_of(root) == "0.10.0"


def test_the_first_release_may_be_of_the_version_that_is_stated(root: Path) -> None:
    (root / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n* All.\n", "utf-8")
    bump_version.bump(root, "0.2.0", TODAY)
    assert "## 0.2.0 (2026-05-04)\n\n* All." in (root / "CHANGELOG.md").read_text("utf-8")


def test_a_second_time_there_is_nothing_to_release(root: Path) -> None:
    bump_version.bump(root, "0.3.0", TODAY)
    before = contents(root)
    with pytest.raises(StepError, match="tells nothing under '## Unreleased'"):
        bump_version.bump(root, "0.4.0", TODAY)
    assert contents(root) == before


@pytest.mark.parametrize("missing", ["## Unreleased\n", "* A node.\n"], ids=["section", "words"])
def test_a_version_without_changes_is_refused(root: Path, missing: str) -> None:
    (root / "CHANGELOG.md").write_text(CHANGELOG.replace(missing, ""), encoding="utf-8")
    before = contents(root)
    with pytest.raises(StepError, match="tells nothing under"):
        bump_version.bump(root, "0.3.0", TODAY)
    assert contents(root) == before


def test_a_version_that_is_told_twice_is_refused(root: Path) -> None:
    with (root / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write('\n[other]\nversion = "0.2.0"\n')
    before = contents(root)
    with pytest.raises(StepError, match=r"pyproject\.toml tells 2 versions"):
        bump_version.bump(root, "0.3.0", TODAY)
    assert contents(root) == before


@pytest.mark.parametrize("failing", ["pyproject.toml", "version.py", "CHANGELOG.md"])
def test_a_disk_that_fails_leaves_all_as_it_was(
    root: Path, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(root)
    replace: Callable[[Path, Path], Path] = Path.replace

    def fail_once(source: Path, target: Path) -> Path:
        if target.name == failing:
            raise OSError("no space")
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", fail_once)
    with pytest.raises(OSError, match="no space"):
        bump_version.bump(root, "0.3.0", TODAY)
    assert contents(root) == before


def test_this_project_tells_one_version() -> None:
    assert bump_version.version_of(ROOT) == VERSION


def test_this_changelog_can_be_released() -> None:
    sections = bump_version.sections_of((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    assert next(iter(sections)) == bump_version.UNRELEASED


def test_what_git_tracks_is_packed_less_the_list(root: Path) -> None:
    (root / "untracked.py").touch()
    assert build_archive.packed_files(root) == [
        ".gitignore", "CHANGELOG.md", "__init__.py", "cache_core/version.py", "pyproject.toml",
        "web/two words.js",
    ]  # fmt: skip


def test_equal_files_make_an_equal_archive(root: Path) -> None:
    files = build_archive.packed_files(root)
    first, second = root / "dist" / "first.zip", root / "dist" / "second.zip"
    build_archive.build(root, files, first)
    for name in files:
        (root / name).chmod(0o755)
        (root / name).touch()
    build_archive.build(root, files, second)
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as archive:
        assert archive.namelist() == files
        assert archive.testzip() is None
        assert archive.read("web/two words.js") == b"1;\n"


@pytest.mark.parametrize(
    ("name", "is_refused"),
    [("__init__.py", True), (".comfyignore", True), ("tests/test_pack.py", False)],
)
def test_changes_that_would_be_packed_have_to_be_committed(
    root: Path, name: str, is_refused: bool
) -> None:
    files = build_archive.packed_files(root)
    build_archive.require_committed(root, files)
    with (root / name).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    if is_refused:
        with pytest.raises(StepError, match=f"not committed: {re.escape(name)}"):
            build_archive.require_committed(root, files)
    else:
        build_archive.require_committed(root, files)


def test_a_new_or_deleted_file_has_to_be_committed_too(root: Path) -> None:
    (root / "__init__.py").unlink()
    (root / "new.py").touch()
    git(root, "add", "new.py")
    with pytest.raises(StepError, match=r"not committed: __init__\.py, new\.py"):
        build_archive.require_committed(root, build_archive.packed_files(root))


def test_outside_of_a_checkout_nothing_is_packed(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="checkout"):
        build_archive.packed_files(tmp_path / "nowhere")


def test_a_tag_has_to_name_the_version(root: Path) -> None:
    assert build_archive.notes_of(root, "v0.2.0") == "* Another node.\n"
    for tag in ("v0.2.1", "0.2.0", "v0.2.0-beta", "V0.2.0", ""):
        with pytest.raises(StepError, match=r"pyproject\.toml states version 0\.2\.0"):
            build_archive.notes_of(root, tag)


def test_a_tag_of_a_version_that_nothing_is_told_about_is_refused(root: Path) -> None:
    (root / "CHANGELOG.md").write_text(CHANGELOG.replace("0.2.0", "0.2.0.1"), encoding="utf-8")
    with pytest.raises(StepError, match=r"CHANGELOG\.md tells nothing about 0\.2\.0"):
        build_archive.notes_of(root, "v0.2.0")


def test_what_a_bump_makes_can_be_tagged(root: Path) -> None:
    bump_version.bump(root, "0.3.0", TODAY)
    commit(root)
    assert build_archive.notes_of(root, "v0.3.0") == "* A node.\n"
    build_archive.require_committed(root, build_archive.packed_files(root))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_name_actions_by_commit_and_scripts_that_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    actions = re.findall(r"uses: (\S+)", text)
    assert actions
    for action in actions:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action), action
    commands = re.findall(r"(?:scripts/\w+\.py|tests/[\w/]+\.py|\.ci/run)", text)
    assert commands
    for command in commands:
        assert (ROOT / command).is_file(), command


@pytest.mark.parametrize(("name", "size"), [("icon", (400, 400)), ("banner", (1280, 549))])
def test_the_registry_finds_the_pictures(name: str, size: tuple[int, int]) -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    stated = re.search(rf'^{name.title()} = "https://\S+/main/(\S+)"$', project, re.MULTILINE)
    assert stated is not None
    with Image.open(ROOT / stated[1]) as picture:
        assert picture.size == size
