"""What is spoiled before a command puts it right, and what is seen afterwards."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from .walk import Prepare

WRITTEN = re.compile(r"(<!-- [\w ]+: begin -->\n).*?(<!-- [\w ]+: end -->)", re.DOTALL)


def without(*patterns: str) -> Prepare:
    """Delete files."""

    def spoil(root: Path) -> None:
        for pattern in patterns:
            paths = list(root.glob(pattern))
            assert paths, pattern
            for path in paths:
                path.unlink()

    return spoil


def written(name: str, text: str) -> Prepare:
    """Write a file that a person has."""

    def write(root: Path) -> None:
        (root / name).write_text(text, encoding="utf-8")

    return write


def emptied(*patterns: str) -> Prepare:
    """Empty what stands between two comments in pages."""

    def spoil(root: Path) -> None:
        for pattern in patterns:
            for path in root.glob(pattern):
                text = path.read_text(encoding="utf-8")
                path.write_text(WRITTEN.sub(r"\1\2", text), encoding="utf-8")

    return spoil


def both(*prepared: Prepare) -> Prepare:
    """One after the other."""

    def all_of_them(root: Path) -> None:
        for each in prepared:
            each(root)

    return all_of_them


def holds(name: str, is_right: Callable[[Any], object]) -> Prepare:
    """See that a JSON file is right."""

    def see(root: Path) -> None:
        found = json.loads((root / name).read_text(encoding="utf-8"))
        assert is_right(found), f"{name}: {json.dumps(found)[:2000]}"

    return see


def rows(name: str, *wanted: str, key: str = "method") -> Prepare:
    """See which rows a table of results has, one for each setting or for several."""
    return holds(name, lambda found: {row[key] for row in found["rows"]} == set(wanted))


def picture(name: str, least_width: int) -> Prepare:
    """See that a picture can be read, and shows something."""

    def see(root: Path) -> None:
        with Image.open(root / name) as found:
            assert found.width >= least_width
            assert len(found.convert("RGB").getcolors(2**24) or ()) > 2

    return see


def two_results(root: Path) -> None:
    """Two files of results, the second with one cell at twice the speed."""
    found = json.loads((root / "benchmarks/results/matrix.json").read_text(encoding="utf-8"))
    (root / "before.json").write_text(json.dumps(found), encoding="utf-8")
    speedup = next(row["speedup"] for row in found["cells"].values() if "speedup" in row)
    for name in ("median", "lowest", "highest"):
        speedup[name] *= 2
    (root / "after.json").write_text(json.dumps(found), encoding="utf-8")


def is_released(root: Path) -> None:
    """The remote has the tag, and in its commit the kept graph."""
    listed = git(root, "ls-remote", "origin", "refs/tags/v9.0.0", "refs/heads/main")
    tag, branch = (line.split()[1] for line in reversed(listed.splitlines()))
    assert (tag, branch) == ("refs/tags/v9.0.0", "refs/heads/main")
    kept = json.loads(git(root, "show", "v9.0.0:tests/saved/9.0.0.json"))
    nodes = {path.stem for path in (root / "web" / "docs").glob("*.md")}
    assert {node["class_type"] for node in kept["prompt"].values()} == nodes


def newer_origin(root: Path) -> None:
    """Something new in the repository that was cloned."""
    git(root, "commit", "--quiet", "--allow-empty", "--message=Newer")


def is_up_to_date(root: Path) -> None:
    """The clone has it."""
    clone = root / "output" / "custom_nodes" / "ComfyUI-StepCache"
    assert git(clone, "rev-parse", "HEAD") == git(root, "rev-parse", "HEAD")
    assert git(clone, "status", "--porcelain") == ""


def git(root: Path, *words: str) -> str:
    """What a git command says."""
    names = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    return subprocess.run(
        ["git", *names, *words], cwd=root, check=True, capture_output=True, encoding="utf-8"
    ).stdout
