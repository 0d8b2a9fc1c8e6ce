"""Runs commands one after the other in a copy of the project, as a person would."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import host

from .pages import words_of

UNSEEN = frozenset({".git", "__pycache__", ".pytest_cache", "output"})
"""Folders of a checkout in which everybody may leave something; git ignores them."""
WHO = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
Prepare = Callable[[Path], None]


@dataclass(frozen=True, slots=True)
class Step:
    """A command, how it is made short, and what shows that it worked.

    Args:
        command: as the pages have it, after `pages.commands_of`.
        more: words behind it; of an option that is given twice, programs take the last one.
        says: a regular expression that the output matches.
        leaves: patterns of the files that it makes or changes, each of them and no other.
        may_leave: of those that differ with versions of libraries.
        status: exit statuses that are right.
        before: called with the root of the copy beforehand; what it spoils has to be put right.
        check: called with the root of the copy afterwards.
        folder: to run it in, from the root.
    """

    command: str
    more: str = ""
    says: str = ""
    leaves: tuple[str, ...] = ()
    may_leave: tuple[str, ...] = ()
    status: tuple[int, ...] = (0,)
    before: Prepare | None = None
    check: Prepare | None = None
    folder: str = "."


@dataclass(frozen=True, slots=True)
class Walk:
    """Commands of which each rests on those before it.

    Args:
        places: what stands for something of the reader's own, and what is there in the test;
            "{root}" and "{comfyui}" are filled in.
        is_repository: whether the copy has a commit of all files, and a remote.
        needs_browser: whether it can only be run where there is Chromium.
    """

    steps: tuple[Step, ...]
    places: Mapping[str, str] = field(default_factory=dict)
    is_repository: bool = False
    needs_browser: bool = False


def copy_of_project(root: Path, copy: Path) -> None:
    """Copy what git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root, check=True, capture_output=True, encoding="utf-8",
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (root / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, copy / name)


def make_repository(copy: Path) -> None:
    """A commit of everything, pushed to a repository beside the copy."""
    remote = copy.parent / "origin.git"
    for words in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "--all"),
        ("commit", "--quiet", "--message=All"),
        ("init", "--quiet", "--bare", str(remote)),
        ("remote", "add", "origin", str(remote)),
        ("push", "--quiet", "--set-upstream", "origin", "main"),
    ):
        subprocess.run(["git", *WHO, *words], cwd=copy, check=True)


def go(walk: Walk, copy: Path) -> int:
    """Run a walk's commands in a copy of the project, and see after each what came of it.

    Returns:
        How many programs were run.
    """
    environment = _environment(copy)
    places = {
        name: place.format(root=copy, comfyui=host.comfyui_path())
        for name, place in walk.places.items()
    }
    if walk.is_repository:
        make_repository(copy)
    programs = 0
    for step in walk.steps:
        before = _digests(copy)
        if step.before is not None:
            step.before(copy)
        told = step.command
        for name, place in places.items():
            told = told.replace(name, place)
        for words in words_of(f"{told} {step.more}"):
            _run(words, step, copy, environment)
            programs += words[0] != "export"
        _check_files(step, before, _digests(copy))
        if step.check is not None:
            step.check(copy)
    return programs


def _environment(copy: Path) -> dict[str, str]:
    """Of a person's shell: nothing of the test's, one thread, no device of this machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    author = {f"GIT_{who}_{what}": "test@example.org"
              for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}  # fmt: skip
    return {
        **kept, **author,
        "COMFYUI_PATH": str(host.comfyui_path()),
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "PYTHONIOENCODING": "utf-8",
    }  # fmt: skip


def _run(words: list[str], step: Step, copy: Path, environment: dict[str, str]) -> None:
    if words[0] == "export":
        name, _, value = words[1].partition("=")
        environment[name] = value
        return
    if words[0] == "python":
        words[0] = sys.executable
    done = subprocess.run(
        words, cwd=copy / step.folder, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
    )  # fmt: skip
    told = f"{' '.join(words)}: status {done.returncode}\n{done.stdout[-4000:]}"
    assert done.returncode in step.status, told
    assert re.search(step.says, done.stdout), told


def _digests(root: Path) -> dict[str, str]:
    """Every file that git may see."""
    found: dict[str, str] = {}
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if name not in UNSEEN]
        for path in (Path(folder) / name for name in files):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[path.relative_to(root).as_posix()] = digest
    return found


def _check_files(step: Step, before: Mapping[str, str], after: Mapping[str, str]) -> None:
    assert before.keys() <= after.keys(), f"gone: {sorted(before.keys() - after.keys())}"
    changed = [name for name, digest in after.items() if before.get(name) != digest]
    expected = (*step.leaves, *step.may_leave)
    others = [name for name in changed if not _is_one_of(name, expected)]
    assert not others, f"{step.command} wrote {others}"
    missing = [each for each in step.leaves if not any(_is_one_of(n, (each,)) for n in changed)]
    assert not missing, f"{step.command} did not write {missing}"


def _is_one_of(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
