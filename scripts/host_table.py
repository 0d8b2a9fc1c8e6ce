"""The table of ComfyUI versions: `python scripts/host_table.py` writes it from the recorded runs.

`python scripts/test.py --comfyui-version X --record` records a run in docs/hosts.json, and then
writes docs/hosts.md.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from setup.comfyui_versions import RELEASES
from setup.layout import ROOT
from setup.stamps import write_atomically

RECORDS = ROOT / "docs" / "hosts.json"
TABLE = ROOT / "docs" / "hosts.md"
INTRODUCTION = """\
# Versions of ComfyUI

What the tests that run inside a genuine ComfyUI (`tests/comfy`, `tests/contract`) showed on each
version, the unmodified host on one CPU thread. `python scripts/test.py --comfyui-version 0.16.3`
repeats one; with `--record` it also writes this file. Mended: failed in that run, and passed or was
skipped by name when run again after a change. One that the option does not know is from git
(`--comfyui-git`).

| ComfyUI | tested on | passed | failed | mended | skipped |
|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Outcome:
    """What one version showed.

    Args:
        tested: day of the run, as YYYY-MM-DD.
        passed: how many tests passed.
        failed: names of the tests that did not.
        skipped: how many tests were skipped, for each reason.
        mended: names of tests that failed in this run, and passed or were skipped by name when
            they were run again after a change.
    """

    tested: str
    passed: int
    failed: tuple[str, ...]
    skipped: Mapping[str, int]
    mended: tuple[str, ...] = ()


def outcome_of(junit: Path, tested: date) -> Outcome:
    """Read the file that pytest writes with `--junitxml`."""
    passed, failed, skipped = 0, [], Counter[str]()
    for case in ElementTree.parse(junit).iter("testcase"):
        reason = case.find("skipped")
        if reason is not None:
            skipped[reason.get("message", "")] += 1
        elif case.find("failure") is not None or case.find("error") is not None:
            failed.append(f"{case.get('classname')}::{case.get('name')}")
        else:
            passed += 1
    return Outcome(tested.isoformat(), passed, tuple(failed), dict(sorted(skipped.items())))


def record(version: str, outcome: Outcome) -> None:
    """Keep an outcome in place of the version's last one, and write the table again."""
    records = read()
    records[version] = outcome
    known = {each: asdict(records[each]) for each in _versions(records) if each in records}
    write_atomically(RECORDS, json.dumps(known, indent=2, ensure_ascii=False) + "\n")
    write_table()


def _versions(records: Mapping[str, Outcome]) -> list[str]:
    """Those of the package registry, then those from git."""
    releases = [release.version for release in RELEASES]
    return releases + sorted(records.keys() - set(releases))


def read() -> dict[str, Outcome]:
    """What is recorded, by version."""
    if not RECORDS.exists():
        return {}
    content = json.loads(RECORDS.read_text(encoding="utf-8"))
    return {
        version: Outcome(**{name: _frozen(value) for name, value in outcome.items()})
        for version, outcome in content.items()
    }


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def render(records: Mapping[str, Outcome]) -> str:
    """The text of docs/hosts.md."""
    rows, details = [], []
    for version in _versions(records):
        outcome = records.get(version)
        if outcome is None:
            rows.append(f"| {version} | not recorded | | | | |\n")
            continue
        skipped = sum(outcome.skipped.values())
        counts = (outcome.passed, len(outcome.failed), len(outcome.mended), skipped)
        cells = " | ".join(map(str, counts))
        rows.append(f"| {version} | {outcome.tested} | {cells} |\n")
        details += _details(version, outcome)
    return INTRODUCTION + "".join(rows) + ("\n" if details else "") + "".join(details)


def write_table() -> None:
    """Write docs/hosts.md."""
    write_atomically(TABLE, render(read()))


def _details(version: str, outcome: Outcome) -> list[str]:
    """What failed and what was skipped, by name."""
    ending = f" is younger than ComfyUI {version}"
    young = [
        f"{reason.removesuffix(ending)} ({count})"
        for reason, count in outcome.skipped.items()
        if reason.endswith(ending)
    ]
    others = [
        f"{reason} ({count})"
        for reason, count in outcome.skipped.items()
        if not reason.endswith(ending)
    ]
    return [
        f"* {version}, {title}: {', '.join(names)}\n"
        for title, names in (
            ("failed", outcome.failed),
            ("mended", outcome.mended),
            ("skipped as younger than this version", young),
            ("skipped for another reason", others),
        )
        if names
    ]


if __name__ == "__main__":
    write_table()
