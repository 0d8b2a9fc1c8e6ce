"""Builds what people install: `python scripts/build_archive.py` writes it to dist/.

In it is what git tracks less what .comfyignore names, as the Comfy registry's publish command packs
it. With `--tag v0.2.0`, as a release is built, the tag has to name the version, and what
CHANGELOG.md tells about it is written to dist/release_notes.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bump_version import sections_of, version_of
from setup.errors import StepError
from setup.layout import ROOT
from setup.stamps import write_atomically

STEP = "building the archive"
NAME = "comfyui-stepcache"
LIST = ".comfyignore"
NOTES = "release_notes.md"
DATE = (1980, 1, 1, 0, 0, 0)
"""The first that the format knows. Equal files make an equal archive, whenever it is built."""
PLAIN_FILE = 0o100644 << 16


@dataclass(frozen=True)
class Options:
    """The command line; each as its help says."""

    tag: str | None


def main() -> int:
    """Build the archive of this checkout. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tag", help="refuse unless it names this version")
    options = Options(**vars(parser.parse_args()))
    folder = ROOT / "dist"
    try:
        version = version_of(ROOT)
        if options.tag is not None:
            write_atomically(folder / NOTES, notes_of(ROOT, options.tag))
        files = packed_files(ROOT)
        require_committed(ROOT, files)
        archive = folder / f"{NAME}-{version}.zip"
        build(ROOT, files, archive)
    except StepError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{archive}: {len(files)} files, {archive.stat().st_size / 1024:.0f} KiB")
    return 0


def packed_files(root: Path) -> list[str]:
    """The files of a pack as people get it: paths from the root, in order.

    Args:
        root: a checkout.

    Raises:
        StepError: it is no checkout.
    """
    ignored = _listed(root, "ls-files", "--cached", "--ignored", f"--exclude-from={LIST}")
    return sorted(_listed(root, "ls-files") - ignored)


def require_committed(root: Path, files: Sequence[str]) -> None:
    """Refuse to pack what no commit has.

    Raises:
        StepError: a file to be packed, or the list of those that are not, differs from the commit.
    """
    changed = _listed(root, "diff", "--name-only", "--no-renames", "HEAD") & {*files, LIST}
    if changed:
        raise StepError(
            STEP,
            f"not committed: {', '.join(sorted(changed))}",
            "commit the changes, or put them aside",
        )


def notes_of(root: Path, tag: str) -> str:
    """What CHANGELOG.md tells about the version that a tag names.

    Raises:
        StepError: the tag does not name the version of the checkout, or nothing is told about it.
    """
    version = version_of(root)
    if tag != f"v{version}":
        raise StepError(
            STEP,
            f"the tag is {tag}, and pyproject.toml states version {version}",
            "run scripts/bump_version.py, commit, and tag that commit with v and the version",
        )
    sections = sections_of((root / "CHANGELOG.md").read_text(encoding="utf-8"))
    told = [text for heading, text in sections.items() if heading.split(" ")[0] == version]
    if not any(told):
        raise StepError(
            STEP, f"CHANGELOG.md tells nothing about {version}", "run scripts/bump_version.py"
        )
    return told[0] + "\n"


def build(root: Path, files: Sequence[str], archive: Path) -> None:
    """Write an archive.

    Args:
        root: the checkout.
        files: paths from the root. They have no folder around them in the archive: who unpacks it
            makes one, and ComfyUI looks for the pack right below it.
        archive: the file to write; its folder is made.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w") as packed:
        for name in files:
            entry = zipfile.ZipInfo(name, DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, also where the archive is built on Windows.
            entry.external_attr = PLAIN_FILE
            packed.writestr(entry, (root / name).read_bytes(), compresslevel=9)


def _listed(root: Path, *arguments: str) -> set[str]:
    """The paths that a git command names."""
    command = ["git", "-C", str(root), *arguments, "-z"]
    try:
        done = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
    except (OSError, subprocess.CalledProcessError) as error:
        raise StepError(
            STEP,
            (getattr(error, "stderr", None) or str(error)).strip(),
            "run this in a checkout of the repository, with git installed",
        ) from error
    return {name for name in done.stdout.split("\0") if name}


if __name__ == "__main__":
    sys.exit(main())
