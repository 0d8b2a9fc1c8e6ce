"""Makes a version: `python scripts/bump_version.py 0.2.0`.

Sets it where it is told, and moves what CHANGELOG.md tells as unreleased under it, with the date.
Everything is checked before the first file is written, and no file is left half done.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from setup.errors import StepError
from setup.layout import ROOT
from setup.stamps import write_atomically

STEP = "making a version"
UNRELEASED = "Unreleased"
LINES = {
    "pyproject.toml": re.compile(r'^version = "(?P<version>[^"]*)"$', re.MULTILINE),
    "cache_core/version.py": re.compile(r'^VERSION = "(?P<version>[^"]*)"$', re.MULTILINE),
}
"""pyproject.toml is what ComfyUI and the registry read; the pack itself does without a parser."""
NUMBERS = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
UNRELEASED_HEADING = re.compile(rf"^## {UNRELEASED}[ \t]*$", re.MULTILINE)


@dataclass(frozen=True)
class Options:
    """The command line; each as its help says."""

    version: str


def main() -> int:
    """Make the version that the command line names. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version", metavar="X.Y.Z")
    version = Options(**vars(parser.parse_args())).version
    try:
        bump(ROOT, version, date.today())
    except StepError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"version {version}; next: python scripts/keep_workflow.py, as CONTRIBUTING.md says")
    return 0


def bump(root: Path, version: str, today: date) -> None:
    """Set a version and date its changes.

    Args:
        root: the checkout.
        version: as X.Y.Z.
        today: the date to put beside it.

    Raises:
        StepError: the version does not follow the last one, or there is nothing to release.
    """
    changelog = root / "CHANGELOG.md"
    told = changelog.read_text(encoding="utf-8")
    sections = sections_of(told)
    _require_next(version, version_of(root), has_releases=any(map(NUMBERS.match, sections)))
    if not sections.get(UNRELEASED):
        raise StepError(
            STEP,
            f"CHANGELOG.md tells nothing under '## {UNRELEASED}'",
            "write there what changes for people who use the pack",
        )
    headings = f"## {UNRELEASED}\n\n## {version} ({today.isoformat()})"
    texts = {root / name: _with_version(root / name, line, version) for name, line in LINES.items()}
    texts[changelog] = UNRELEASED_HEADING.sub(headings, told, count=1)
    _write_all(texts)


def version_of(root: Path) -> str:
    """The version that pyproject.toml states.

    Raises:
        StepError: it states none, or several.
    """
    return _told(root / "pyproject.toml", LINES["pyproject.toml"])["version"]


def sections_of(changelog: str) -> dict[str, str]:
    """What a changelog tells, by heading, without space around it."""
    _, *parts = HEADING.split(changelog)
    return {
        heading.strip(): text.strip() for heading, text in zip(parts[::2], parts[1::2], strict=True)
    }


def _require_next(version: str, stated: str, has_releases: bool) -> None:
    if not NUMBERS.fullmatch(version):
        raise StepError(STEP, f"{version!r} is no version", "give three numbers, such as 0.2.0")
    new, old = _numbers(version), _numbers(stated)
    # The first release is of the version that has been stated since the project began.
    if new < old or (new == old and has_releases):
        raise StepError(STEP, f"{version} does not follow {stated}", "give a greater version")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _told(path: Path, line: re.Pattern[str]) -> re.Match[str]:
    found = list(line.finditer(path.read_text(encoding="utf-8")))
    if len(found) != 1:
        raise StepError(
            STEP, f"{path.name} tells {len(found)} versions", "let one line of it tell the version"
        )
    return found[0]


def _with_version(path: Path, line: re.Pattern[str], version: str) -> str:
    match = _told(path, line)
    start, end = match.span("version")
    return match.string[:start] + version + match.string[end:]


def _write_all(texts: Mapping[Path, str]) -> None:
    """Write several files; where one cannot be written, all are as before."""
    before = {path: path.read_bytes() for path in texts}
    try:
        for path, text in texts.items():
            write_atomically(path, text)
    except BaseException:
        for path, content in before.items():
            path.write_bytes(content)
        raise


if __name__ == "__main__":
    sys.exit(main())
