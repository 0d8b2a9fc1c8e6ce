"""Reads SmoothCache schedules: JSON that names layers and lists 1 (compute) or 0 (reuse) per step.

Files come from strangers, so every surprise is refused in words that name the file. Calibrations
are read with the same care: what serves both takes the word for the file as `noun`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from .effort import spend
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

MAX_NAMED = 5
"""Rows that a remark names."""


class ScheduleFile(NamedTuple):
    """What a schedule file holds.

    Args:
        rows: of layers that are known.
        remarks: for the person; on rows that were passed over.
    """

    rows: Rows
    remarks: tuple[str, ...] = ()


def read_schedule(path: Path) -> ScheduleFile:
    """The rows of a schedule file.

    A key is a component, or a component, a hyphen and the number of the layer among those of its
    kind, from 0; the latter wins. The first entry of a row may be 0 and is computed nonetheless,
    because nothing is stored before it. Components that are not known are passed over beside others
    that are.

    Raises:
        ConfigError: the file cannot be read, or is no such schedule.
    """
    return parse_schedule(path, read_bytes(path))


def parse_schedule(path: Path, data: bytes) -> ScheduleFile:
    """The rows in the contents of a schedule file.

    Raises:
        ConfigError: they are no such schedule.
    """
    found = parse_json(path, data, _Pairs)
    if not isinstance(found, _Pairs):
        remedy = "expected names of layers, each with a list of 0 and 1"
        raise refusal(path, f"holds {kind_of(found)} instead of an object", remedy)
    if not found:
        raise refusal(path, "has no rows", "expected at least one, for example for attn")
    rows: dict[tuple[SiteKind, int | None], tuple[str, tuple[bool, ...]]] = {}
    known = [name for name, _ in found if _component(name) in COMPONENTS]
    passed_over = [shown(name) for name, _ in found if name not in known] if known else []
    for name, entries in found:
        if known and name not in known:
            continue
        place = _place(path, name)
        if place in rows:
            same = f"has {shown(rows[place][0])} and {shown(name)}, which are the same layers"
            raise refusal(path, same, "keep one of the two")
        rows[place] = name, _row(path, name, entries)
    _check_lengths(path, {name: len(row) for name, row in rows.values()})
    remarks: tuple[str, ...] = ()
    if passed_over:
        remarks = (
            f"rows of the schedule {path.name} were passed over, because this version of Step "
            f"Cache knows no such layers: {some_of(passed_over)}",
        )
    return ScheduleFile(
        tuple((kind, index, row) for (kind, index), (_, row) in rows.items()), remarks
    )


def read_bytes(path: Path, noun: str = "schedule", limit: int = SIZE_LIMIT) -> bytes:
    """The contents of a file that must not be large.

    Args:
        path: of the file.
        noun: what the file is, for the message.
        limit: bytes; a larger file is not opened.

    Raises:
        ConfigError: there is no such file, or it is larger than any of its sort.
    """
    try:
        if not path.exists():
            remedy = f"choose another {noun}, or put the file there"
            raise refusal(path, "does not exist", remedy, noun)
        if not path.is_file():
            raise refusal(path, "is not a file", "choose the .json file itself", noun)
        size = path.stat().st_size
        if size > limit:
            remedy = (
                f"{noun}s have less than {_in_words(limit, 0)}: this is something else, choose "
                f"another file"
            )
            raise refusal(path, f"has {_in_words(size, 1)}", remedy, noun)
        with path.open("rb") as file:
            return file.read(limit)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        remedy = "check the file's rights"
        raise refusal(path, f"cannot be read ({reason})", remedy, noun) from error


def parse_json(
    path: Path,
    data: bytes,
    pairs: Callable[[list[tuple[str, Any]]], Any],
    noun: str = "schedule",
) -> Any:
    """JSON in which every number is one.

    Args:
        path: of the file.
        data: its contents, UTF-8; a byte order mark does no harm.
        pairs: makes an object of its keys and values; may raise ValueError.
        noun: what the file is, for the message.

    Raises:
        ConfigError: it is no JSON.
    """
    spend(len(data) / 8)
    try:
        text = data.decode("utf-8-sig")
        return json.loads(text, object_pairs_hook=pairs, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        remedy = f"save the {noun} as plain JSON"
        raise refusal(path, f"is not JSON ({reason})", remedy, noun) from error


def refusal(path: Path, found: str, remedy: str, noun: str = "schedule") -> ConfigError:
    """What is wrong with a file, and what to do."""
    return ConfigError(f"the {noun} {path.name} {found}; {remedy}")


def kind_of(value: Any) -> str:
    """A JSON value in words, never longer than a few of them."""
    if isinstance(value, (dict, _Pairs)):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return shown(value)


def shown(value: Any) -> str:
    """A JSON value as it is written, cut where it is long."""
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:36]} …"


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as it is written: a dict would hide keys that occur twice."""


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON value")


def some_of(names: Sequence[str]) -> str:
    """The first of many names."""
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def _component(name: str) -> str:
    return name.partition("-")[0]


def _place(path: Path, name: str) -> tuple[SiteKind, int | None]:
    component, hyphen, index = name.partition("-")
    if component not in COMPONENTS:
        known = ", ".join(COMPONENTS)
        remedy = (
            f"known are {known}, each also with -0, -1, … for one layer: rename the key, or take a "
            f"schedule made for this kind of model"
        )
        raise refusal(path, f"names {shown(name)}", remedy)
    if not hyphen:
        return COMPONENTS[component], None
    if not (index.isascii() and index.isdigit() and len(index) <= INDEX_DIGITS):
        remedy = f"expected the number of a layer after the hyphen, as in {component}-0"
        raise refusal(path, f"names {shown(name)}", remedy)
    return COMPONENTS[component], int(index)


def _row(path: Path, name: str, entries: Any) -> tuple[bool, ...]:
    row = f"row {shown(name)}"
    if not isinstance(entries, list) or isinstance(entries, _Pairs):
        raise refusal(path, f"has {kind_of(entries)} as {row}", "expected a list of 0 and 1")
    if not entries:
        raise refusal(path, f"has an empty {row}", "expected one entry per step")
    compute: list[bool] = []
    for step, entry in enumerate(cast("list[Any]", entries)):
        # True and 1.0 equal 1, but whoever wrote them meant something else than this format.
        if type(entry) is not int or entry not in (0, 1):
            found = f"has {kind_of(entry)} at step {step} of {row}"
            raise refusal(path, found, "expected 1 (compute) or 0 (reuse)")
        compute.append(entry == 1)
    return tuple(compute)


def _check_lengths(path: Path, lengths: dict[str, int]) -> None:
    (first, expected), *others = lengths.items()
    for name, length in others:
        if length != expected:
            found = f"has {expected} steps for {shown(first)} and {length} for {shown(name)}"
            raise refusal(path, found, "make all rows as long as the run has steps")


def _in_words(size: int, digits: int) -> str:
    unit, name = (2**20, "MiB") if size >= 2**20 else (2**10, "KiB")
    return f"{size / unit:.{digits}f} {name}"
