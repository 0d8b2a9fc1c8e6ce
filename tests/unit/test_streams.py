"""Stream keys: two values meet only if they are of the same stream."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from stepcache.cache_core.streams import StreamCounter, StreamKey

KEY = StreamKey(
    cond=0, uuid="a", window=(0, 1), signature=("attn1",), layout=(1, (4, 8, 8)), ordinal=0
)
OTHER: dict[str, Any] = {
    "cond": 1,
    "uuid": "b",
    "window": (1, 2),
    "signature": (),
    "layout": (1, (4, 8, 16)),
    "ordinal": 1,
    "repeat": 1,
}


@pytest.mark.parametrize("field", [field.name for field in fields(StreamKey) if field.compare])
def test_one_different_field_is_another_stream(field: str) -> None:
    assert len({KEY, replace(KEY, **{field: OTHER[field]})}) == 2


def test_the_same_fields_are_the_same_stream() -> None:
    assert {KEY: "value"}[replace(KEY)] == "value"


def test_weights_are_no_part_of_the_identity() -> None:
    stored = {KEY: "value"}
    assert stored[replace(KEY, weights=("lora", 0.5))] == "value"


def ordinals(keys: tuple[StreamKey, ...]) -> list[int]:
    return [key.ordinal for key in keys]


def test_repeats_in_one_call_are_numbered() -> None:
    a, b = StreamKey(0, "a"), StreamKey(1, "b")
    numbered = StreamCounter().number([a, b, a])
    assert ordinals(numbered) == [0, 0, 1]
    assert [key.uuid for key in numbered] == ["a", "b", "a"]


def test_numbering_goes_on_over_the_calls_of_one_evaluation() -> None:
    counter, a = StreamCounter(), StreamKey(0, "a")
    assert [ordinals(counter.number([a])) for _ in range(3)] == [[0], [1], [2]]


def test_a_new_evaluation_numbers_from_0_again() -> None:
    counter, a = StreamCounter(), StreamKey(0, "a")
    first = counter.number([a, a])
    counter.start_evaluation()
    assert counter.number([a, a]) == first


def test_streams_that_differ_are_numbered_apart() -> None:
    cond, uncond = StreamKey(0, "a"), StreamKey(1, "a")
    assert ordinals(StreamCounter().number([cond, uncond])) == [0, 0]
