"""Stream keys: two values meet only if they are of the same stream."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from session_bench import stream_key
from stepcache.cache_core.streams import MAX_KNOWN, StreamCounter, StreamKey

KEY = StreamKey(
    cond=0,
    uuid="a",
    window=(0, 1),
    signature=("attn1",),
    layout=(1, (4, 8, 8)),
    ordinal=0,
    weights=(),
)
OTHER: dict[str, Any] = {
    "cond": 1,
    "uuid": "b",
    "window": (1, 2),
    "signature": (),
    "layout": (1, (4, 8, 16)),
    "ordinal": 1,
    "repeat": 1,
    "doubt": "nobody tells",
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
    a, b = stream_key(0, "a"), stream_key(1, "b")
    numbered = StreamCounter().number([a, b, a])
    assert ordinals(numbered) == [0, 0, 1]
    assert [key.uuid for key in numbered] == ["a", "b", "a"]


def test_numbering_goes_on_over_the_calls_of_one_evaluation() -> None:
    counter, a = StreamCounter(), stream_key(0, "a")
    assert [ordinals(counter.number([a])) for _ in range(3)] == [[0], [1], [2]]


def test_a_new_evaluation_numbers_from_0_again() -> None:
    counter, a = StreamCounter(), stream_key(0, "a")
    first = counter.number([a, a])
    counter.start_evaluation()
    assert counter.number([a, a]) == first


def test_streams_that_differ_are_numbered_apart() -> None:
    cond, uncond = stream_key(0, "a"), stream_key(1, "a")
    assert ordinals(StreamCounter().number([cond, uncond])) == [0, 0]


COND, UNCOND = stream_key(0, "a"), stream_key(1, "a")
TOKENS, MORE, PROMPT, LONGER = (2, 16, 32), (2, 20, 32), (2, 7, 24), (2, 9, 24)


def test_a_stream_is_one_object_as_long_as_its_weights_are_the_same() -> None:
    counter, again = StreamCounter(), replace(COND)
    (first,), lora = counter.number([COND]), replace(COND, weights=("lora", 0.5))
    counter.start_evaluation()
    (second,) = counter.number([again])
    counter.start_evaluation()
    (third,) = counter.number([lora])
    assert second is first
    assert (third, third.weights) == (first, lora.weights)
    sized = [counter.sized((key,), (TOKENS,), 0, False, 0)[0] for key in (first, second, third)]
    assert sized[0] is sized[1]
    assert (sized[2], sized[2].weights) == (sized[0], lora.weights)


def sized(*shapes: tuple[int, ...], is_joint: bool = False, repeat: int = 0) -> StreamKey:
    """Cond as a module with these arguments is asked for it."""
    return StreamCounter().sized((COND, UNCOND), shapes, 0, is_joint, repeat)[0]


def test_what_a_module_is_given_belongs_to_the_identity() -> None:
    assert sized(TOKENS) == sized(TOKENS) != sized(MORE)
    assert sized(TOKENS, repeat=1) != sized(TOKENS)
    assert sized((2,)) == sized(), "no tokens, no size"


def test_a_prompt_counts_where_it_is_in_the_result() -> None:
    assert sized(TOKENS, PROMPT) == sized(TOKENS, LONGER)
    assert sized(TOKENS, PROMPT, is_joint=True) != sized(TOKENS, LONGER, is_joint=True)
    rotary = (1, 1, 16, 8, 2, 2)
    assert sized(TOKENS, rotary, is_joint=True) == sized(TOKENS, is_joint=True)


@pytest.mark.parametrize("axis", [0, 1])
def test_streams_are_the_same_alone_and_in_one_batch(axis: int) -> None:
    both = StreamCounter().sized((COND, UNCOND), ((2, 2, 16, 32),), axis, False, 0)
    alone_shape = tuple(1 if place == axis else n for place, n in enumerate((2, 2, 16, 32)))
    alone = StreamCounter().sized((COND,), (alone_shape,), axis, False, 0)
    assert both[0] == alone[0]


def test_a_run_that_invents_streams_for_ever_forgets_them() -> None:
    counter = StreamCounter()
    for number in range(MAX_KNOWN + 1):
        counter.number([stream_key(0, number)])
    (before,) = counter.number([COND])
    counter.start_evaluation()
    (after,) = counter.number([replace(COND)])
    assert after is not before
    assert after == before
