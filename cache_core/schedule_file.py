"""Reads SmoothCache schedules: JSON that names layers and lists 1 (compute) or 0 (reuse) per step.

Files come from strangers, so every surprise is refused in words that name the file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from .errors import ConfigError
from .sites import SiteKind

Rows = tuple[tuple[SiteKind, int | None, tuple[bool, ...]], ...]
"""(kind, index among the layers of this kind or None for all of them, True computes per step)."""

SIZE_LIMIT = 2**20
"""Bytes. A schedule of 100 steps for each of 1000 layers has 0.3 MB."""

COMPONENTS = {
    "attn": SiteKind.SELF_ATTENTION,
    "mlp": SiteKind.FEED_FORWARD,
    "attn1": SiteKind.SELF_ATTENTION,
    "attn2": SiteKind.CROSS_ATTENTION,
    "ff": SiteKind.FEED_FORWARD,
    "self_attention": SiteKind.SELF_ATTENTION,
    "joint_attention": SiteKind.JOINT_ATTENTION,
    "temporal_attention": SiteKind.TEMPORAL_ATTENTION,
    "cross_attention": SiteKind.CROSS_ATTENTION,
    "feed_forward": SiteKind.FEED_FORWARD,
    "block": SiteKind.BLOCK,
}
"""What a key may name: the words of the reference (Roblox/SmoothCache edeb4ed), and our own."""

INDEX_DIGITS = 4


def read_schedule(path: Path) -> Rows:
    """The rows of a schedule file.

    A key is a component, or a component, a hyphen and the number of the layer among those of its
    kind, from 0; the latter wins. The first entry of a row may be 0 and is computed nonetheless,
    because nothing is stored before it.

    Raises:
        ConfigError: the file cannot be read, or is no such schedule.
    """
    data = read_bytes(path)
    try:
        found = json.loads(
            data.decode("utf-8-sig"), object_pairs_hook=_Pairs, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise _refusal(
            path, f"is not JSON ({reason})", "save the schedule as plain JSON"
        ) from error
    if not isinstance(found, _Pairs):
        remedy = "expected names of layers, each with a list of 0 and 1"
        raise _refusal(path, f"holds {_kind_of(found)} instead of an object", remedy)
    if not found:
        raise _refusal(path, "has no rows", "expected at least one, for example for attn")
    rows: dict[tuple[SiteKind, int | None], tuple[str, tuple[bool, ...]]] = {}
    for name, entries in found:
        place = _place(path, name)
        if place in rows:
            same = f"has {_shown(rows[place][0])} and {_shown(name)}, which are the same layers"
            raise _refusal(path, same, "keep one of the two")
        rows[place] = name, _row(path, name, entries)
    _check_lengths(path, {name: len(row) for name, row in rows.values()})
    return tuple((kind, index, row) for (kind, index), (_, row) in rows.items())


def read_bytes(path: Path) -> bytes:
    """The contents of a schedule file.

    Raises:
        ConfigError: there is no such file, or it is larger than any schedule.
    """
    try:
        if not path.exists():
            raise _refusal(path, "does not exist", "choose another schedule, or put the file there")
        if not path.is_file():
            raise _refusal(path, "is not a file", "choose the .json file itself")
        size = path.stat().st_size
        if size > SIZE_LIMIT:
            remedy = "schedules have less than 1 MiB: this is something else, choose another file"
            raise _refusal(path, f"has {size / 2**20:.1f} MiB", remedy)
        with path.open("rb") as file:
            return file.read(SIZE_LIMIT)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise _refusal(path, f"cannot be read ({reason})", "check the file's rights") from error


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as it is written: a dict would hide keys that occur twice."""


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON value")


def _place(path: Path, name: str) -> tuple[SiteKind, int | None]:
    component, hyphen, index = name.partition("-")
    if component not in COMPONENTS:
        known = ", ".join(COMPONENTS)
        remedy = (
            f"known are {known}, each also with -0, -1, … for one layer: rename the key, or take a "
            f"schedule made for this kind of model"
        )
        raise _refusal(path, f"names {_shown(name)}", remedy)
    if not hyphen:
        return COMPONENTS[component], None
    if not (index.isascii() and index.isdigit() and len(index) <= INDEX_DIGITS):
        remedy = f"expected the number of a layer after the hyphen, as in {component}-0"
        raise _refusal(path, f"names {_shown(name)}", remedy)
    return COMPONENTS[component], int(index)


def _row(path: Path, name: str, entries: Any) -> tuple[bool, ...]:
    row = f"row {_shown(name)}"
    if not isinstance(entries, list) or isinstance(entries, _Pairs):
        raise _refusal(path, f"has {_kind_of(entries)} as {row}", "expected a list of 0 and 1")
    if not entries:
        raise _refusal(path, f"has an empty {row}", "expected one entry per step")
    compute: list[bool] = []
    for step, entry in enumerate(cast("list[Any]", entries)):
        # True and 1.0 equal 1, but whoever wrote them meant something else than this format.
        if type(entry) is not int or entry not in (0, 1):
            found = f"has {_kind_of(entry)} at step {step} of {row}"
            raise _refusal(path, found, "expected 1 (compute) or 0 (reuse)")
        compute.append(entry == 1)
    return tuple(compute)


def _check_lengths(path: Path, lengths: dict[str, int]) -> None:
    (first, expected), *others = lengths.items()
    for name, length in others:
        if length != expected:
            found = f"has {expected} steps for {_shown(first)} and {length} for {_shown(name)}"
            raise _refusal(path, found, "make all rows as long as the run has steps")


def _kind_of(value: Any) -> str:
    """A JSON value in words, never longer than a few of them."""
    if isinstance(value, _Pairs):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return _shown(value)


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:36]} …"


def _refusal(path: Path, found: str, remedy: str) -> ConfigError:
    return ConfigError(f"the schedule {path.name} {found}; {remedy}")
