"""Sorts of JSON values: a small validator that says in words what it found where.

Places count rows and lags from 1, and steps, layers and noise levels from 0 as everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from ..schedule_file import kind_of, shown

TEXT_LIMIT = 200
"""Characters of a name."""


class Misfit(Exception):
    """A value is not what was expected.

    Args:
        found: continues "the calibration mine.json …".
        remedy: what was expected, or what to do.
    """

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(found, remedy)
        self.found, self.remedy = found, remedy

    @classmethod
    def at(cls, where: str, found: str, expected: str) -> Misfit:
        """What was found at a place."""
        return cls(f"has {found} at {where}" if where else f"holds {found}", f"expected {expected}")


@dataclass(frozen=True, slots=True)
class Check:
    """One sort of value.

    Args:
        expected: the sort in words.
        read: takes the place around the value, its own name there ("" where the place is its own)
            and the value. Returns what the value means, or raises `Misfit`.
        single: of a value without parts, what fits and what it means: for many of them at once.
        rest: of a value that fits, what is passed over because a later version wrote it, as JSON;
            nothing where all of it is understood.
    """

    expected: str
    read: Callable[[str, str, Any], Any]
    single: tuple[Callable[[Any], bool], Callable[[Any], Any]] | None = None
    rest: Callable[[Any], Any] = lambda value: None


def single(expected: str, is_fit: Callable[[Any], bool], mean: Callable[[Any], Any]) -> Check:
    """A value without parts: what fits, and what it means."""

    def read(place: str, name: str, value: Any) -> Any:
        if not is_fit(value):
            raise Misfit.at(_join(place, name), kind_of(value), expected)
        return mean(value)

    return Check(expected, read, (is_fit, mean))


def is_number(value: Any, low: float, high: float) -> bool:
    """Whether a value is a number in a range; True and NaN are none."""
    return type(value) in (int, float) and low <= value <= high


def number(low: float, high: float) -> Check:
    """A number, with or without fraction."""
    expected = f"a number from {low:g} to {high:g}"
    return single(expected, partial(is_number, low=low, high=high), float)


def count(low: int, high: int) -> Check:
    """A number that is written without fraction."""
    expected = f"a whole number from {low} to {high}"
    return single(expected, lambda v: type(v) is int and low <= v <= high, int)


def is_text(value: Any) -> bool:
    """Whether a value is one short line; what cannot be printed may steer what shows it."""
    return isinstance(value, str) and len(value) <= TEXT_LIMIT and value.isprintable()


def is_writable(value: Any) -> bool:
    """Whether a value without parts is the same once it was written: infinity is no JSON."""
    return not isinstance(value, float) or math.isfinite(value)


def text() -> Check:
    """A short line of text."""
    return single(f"one line of at most {TEXT_LIMIT} characters", is_text, str)


def word(*words: str) -> Check:
    """One of some words."""
    return single(f"one of {', '.join(words)}", lambda v: isinstance(v, str) and v in words, str)


def list_of(
    item: str,
    of: Check,
    least: int,
    most: int,
    first: int = 0,
    is_known: Callable[[Any], bool] = lambda entry: True,
    place_of: Callable[[Any], Mapping[str, Any]] | None = None,
) -> Check:
    """A list; it means a tuple.

    Args:
        item: what one entry is called in a place.
        of: each entry.
        least: entries.
        most: entries.
        first: number of the first entry.
        is_known: whether this version knows what an entry is about; others are passed over.
        place_of: which entry it is, so that what is passed over in it finds it again.
    """
    expected = f"a list of {least} to {most} entries"

    def read(place: str, name: str, value: Any) -> Any:
        if not isinstance(value, list):
            raise Misfit.at(_join(place, name), kind_of(value), expected)
        entries = cast("list[Any]", value)
        if not least <= len(entries) <= most:
            raise Misfit.at(_join(place, name), f"{len(entries)} entries", expected)
        if of.single is not None:
            is_fit, mean = of.single
            # Thousands of numbers; only of one that does not fit is the place asked for.
            if all(map(is_fit, entries)):
                return tuple(map(mean, entries))
        found = tuple(
            of.read(_join(place, f"{item} {at}"), "", entry)
            for at, entry in enumerate(entries, first)
            if is_known(entry)
        )
        if len(found) < least:
            where = _join(place, name)
            raise Misfit(
                f"has nothing at {where} that this version knows: it was made by a newer version "
                f"of Step Cache",
                "update Step Cache, or calibrate again",
            )
        return found

    def rest(value: Any) -> Any:
        unknown = [entry for entry in value if not is_known(entry)]
        if place_of is not None:
            for entry in filter(is_known, value):
                left = of.rest(entry)
                unknown += [{**place_of(entry), **left}] if left else []
        return unknown

    return Check(expected, read, rest=rest)


def object_of(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """An object of known keys. Others are passed over: a later version has put them there."""
    expected = f"an object with {', '.join(required)}" if required else "an object"
    known = {**required, **(optional or {})}

    def read(place: str, name: str, value: Any) -> Any:
        where = _join(place, name)
        if not isinstance(value, dict):
            raise Misfit.at(where, kind_of(value), expected)
        items = cast("dict[str, Any]", value)
        for key, check in required.items():
            if key not in items:
                lacking = f"has no {key} at {where}" if where else f"has no {key}"
                raise Misfit(lacking, f"expected {check.expected}")
        return {
            key: check.read(where, key, items[key]) for key, check in known.items() if key in items
        }

    def rest(value: Any) -> Any:
        left = {key: known[key].rest(of) if key in known else of for key, of in value.items()}
        return {key: of for key, of in left.items() if key not in known or of}

    return Check(expected, read, rest=rest)


def table_of(mean: Callable[[str], Any], of: Check, most: int) -> Check:
    """An object with any number of entries of one sort.

    Args:
        mean: what a key means; None where this version does not know it, then it is passed over.
        of: each entry.
        most: entries.
    """
    expected = f"an object of at most {most} entries"

    def read(place: str, name: str, value: Any) -> Any:
        where = _join(place, name)
        if not isinstance(value, dict):
            raise Misfit.at(where, kind_of(value), expected)
        items = cast("dict[str, Any]", value)
        if len(items) > most:
            raise Misfit.at(where, f"{len(items)} entries", expected)
        found: dict[Any, Any] = {}
        for key, entry in items.items():
            meaning = mean(key)
            if meaning is not None:
                found[meaning] = of.read(f"{where} {shown(key)}", "", entry)
        return found

    def rest(value: Any) -> Any:
        return {key: entry for key, entry in value.items() if mean(key) is None}

    return Check(expected, read, rest=rest)


def _join(place: str, name: str) -> str:
    return f"{place}, {name}" if place and name else place or name
