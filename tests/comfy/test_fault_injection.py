"""Foreign values at every border: a run computes and its report tells, or an error of ours does.

Each place is given something of a wrong type, shape or length that only our code sees: the host and
its network get what is right. Whatever goes wrong then is ours, and must not cost the picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import observe
import pytest
import torch
import toys
from comfy.patcher_extension import WrappersMP
from hostile import METHODS, MISSING, Hostile, drawn
from stepcache.cache_core.errors import StepCacheError
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.host.evaluation.evaluations import JOINS_STEPS
from stepcache.cache_core.host.guard import TOLD

RUN, EVALUATION, PASS, CALL = "OUTER_SAMPLE", "PREDICT_NOISE", "CALC_COND_BATCH", "APPLY_MODEL"
OPTIONS = {EVALUATION: 2, PASS: 4, CALL: 5}
"""Where each room has its options; but in a call those of the transformer stand in another's."""


@dataclass(frozen=True)
class Place:
    """Where something foreign stands.

    Args:
        room: the wrapper whose border it is.
        position: of the argument.
        value: what stands there, or makes it of what is right.
        key: the option that is changed instead of the whole argument.
    """

    room: str
    position: int
    value: Any
    key: str | None = None

    def changed(self, args: tuple[Any, ...]) -> list[Any]:
        given = list(args)
        old = given[self.position]
        if self.key is None:
            given[self.position] = self._made(old)
        else:
            inner = dict(old if self.room == CALL else old["transformer_options"])
            if self.value is MISSING:
                inner.pop(self.key, None)
            else:
                inner[self.key] = self._made(inner.get(self.key))
            given[self.position] = self._with(old, inner)
        return given

    def restored(
        self, args: tuple[Any, ...], wrong: list[Any], right: tuple[Any, ...]
    ) -> list[Any]:
        """What our wrapper has changed itself stands, such as a branch that it leaves out."""
        given = list(args)
        now, old = given[self.position], right[self.position]
        if now is wrong[self.position]:
            given[self.position] = old
        elif self.key is not None:
            inner, own = (
                dict(each if self.room == CALL else each["transformer_options"])
                for each in (now, old)
            )
            inner.pop(self.key, None)
            inner |= {self.key: own[self.key]} if self.key in own else {}
            given[self.position] = self._with(now, inner)
        return given

    def _made(self, old: Any) -> Any:
        return self.value(old) if callable(self.value) else self.value

    def _with(self, old: Any, inner: dict[str, Any]) -> Any:
        return inner if self.room == CALL else {**old, "transformer_options": inner}


def _options(room: str, key: str, values: dict[str, Any]) -> dict[str, Place]:
    return {
        f"{room}, {key}: {what}": Place(room, OPTIONS[room], value, key)
        for what, value in values.items()
    }


def _arguments(room: str, position: int, name: str, values: dict[str, Any]) -> dict[str, Place]:
    return {
        f"{room}, {name}: {what}": Place(room, position, value) for what, value in values.items()
    }


def _hostile(_: Any) -> Hostile:
    return Hostile()


LEVELS = {
    "none": None, "a number": 0.5, "words": "high", "empty": torch.empty(0), "hostile": _hostile,
    "complex": torch.tensor([1j]), "not a number": torch.tensor([torch.nan]),
}  # fmt: skip
PLACES: dict[str, Place] = {
    **_arguments(RUN, 0, "noise", {"none": None, "a list": [0.0], "hostile": _hostile}),
    **_arguments(RUN, 2, "sampler", {"none": None, "words": "euler", "hostile": _hostile}),
    **_arguments(RUN, 3, "schedule", {
        "none": None, "a list": lambda old: old.tolist(), "words": "simple", "hostile": _hostile,
        "of two axes": lambda old: old[None].repeat(3, 1), "one number": torch.tensor(1.0),
        "not numbers": lambda old: old * torch.nan,
    }),
    **_arguments(EVALUATION, 1, "noise level", LEVELS),
    **_arguments(EVALUATION, 2, "options", {"none": None, "a list": [1]}),
    **_options(EVALUATION, "stepcache_run", {"a number": 1, "missing": MISSING}),
    **_arguments(PASS, 1, "conditionings", {
        "none": None, "a number": 2, "of numbers": [1, 2], "of lists of numbers": [[1], [2]],
        "hostile": _hostile,
    }),
    **_arguments(PASS, 2, "latents", {"none": None, "words": "x", "a list": [0.0]}),
    # Whether it is a number cannot be seen there without waiting for the device.
    **_arguments(PASS, 3, "noise level", {k: v for k, v in LEVELS.items() if "not" not in k}),
    **_arguments(PASS, 4, "options", {"none": None, "a list": [1]}),
    **_options(PASS, "context_window", {"words": "all frames", "hostile": _hostile}),
    **_options(PASS, "ad_params", {"none": None, "of numbers": {"sub_idxs": 3}}),
    **_options(PASS, "patches_replace", {"none": None, "a list": [1]}),
    **_arguments(CALL, 0, "latents", {
        "none": None, "a list": [0.0], "one number": torch.tensor(1.0), "no rows": lambda x: x[:0],
    }),
    **_arguments(CALL, 1, "noise level", {"none": None, "words": "high"}),
    **_arguments(CALL, 5, "options", {"none": None, "a list": [1]}),
    **_options(CALL, "sigmas", {**LEVELS, "missing": MISSING}),
    **_options(CALL, "cond_or_uncond", {
        "none": None, "a number": 1, "empty": [], "missing": MISSING, "lists": [[0], [1]],
        "longer": lambda old: [*old, 0, 1, 0],
    }),
    **_options(CALL, "uuids", {
        "shorter": lambda old: old[:1], "longer": lambda old: [*old, *old], "a number": 7,
        "unhashable": lambda old: [[] for _ in old],
    }),
    **_options(CALL, "patches_replace", {
        "none": None, "a list": [1], "of lists": {"attn1": [[1]]},
    }),
    **_options(CALL, "patches", {"none": None, "a number": 4}),
    **_options(CALL, "context_window", {
        "words": "all frames", "a number": lambda _: SimpleNamespace(index_list=3),
        "unhashable": lambda _: SimpleNamespace(index_list=[[0], [1]]),
    }),
    **_options(CALL, "stepcache_run", {"words": "running", "missing": MISSING}),
    **_options(CALL, "stepcache_pass", {"words": "both", "hostile": _hostile, "missing": MISSING}),
    **_options(CALL, "ad_params", {"none": None, "of words": {"sub_idxs": "all"}}),
    **_options(CALL, "multigpu_thread_device", {"words": "the second", "unhashable": []}),
}  # fmt: skip
ASKED = {
    RUN: ("PAB", "whole"), EVALUATION: ("both", "whole"), PASS: ("both", "gate", "whole"),
    CALL: ("PAB", "blocks"),
}  # fmt: skip


def _entries(**changes: Any) -> Callable[[Any], Any]:
    """Every entry of all prompts with something else in it, or without it."""

    def change(conds: list[list[dict[str, Any]]]) -> Any:
        return [
            [
                {k: v for k, v in {**entry, **changes}.items() if v is not MISSING}
                for entry in entries
            ]
            for entries in conds
        ]

    return change


WHOLE_PLACES = _arguments(PASS, 1, "entries", {
    "of a hostile control": _entries(control=Hostile()),
    "of a control in words": _entries(control="canny"),
    "of a control on at words": _entries(control=SimpleNamespace(timestep_range=("a", "b"))),
    "of a control on at one number": _entries(control=SimpleNamespace(timestep_range=0.5)),
    "of words as beginning": _entries(timestep_start="early"),
    "of an end that is none": _entries(timestep_end=None),
    "of hooks in words": _entries(hooks="lora"),
    "without an identity": _entries(uuid=MISSING),
    "of an unhashable identity": _entries(uuid=[[]]),
    "of one identity": _entries(uuid=1),
})  # fmt: skip
"""What only streams of whole evaluations are made of."""
CASES = [
    *(
        pytest.param(place, method, id=f"{name}-{method}")
        for name, place in PLACES.items()
        for method in ASKED[place.room]
    ),
    *(pytest.param(place, "whole", id=f"{name}-whole") for name, place in WHOLE_PLACES.items()),
]


def _between(model: Any, place: Place, method: Any) -> Any:
    """Our node between one that exchanges arguments and one that puts them right."""
    known: list[tuple[list[Any], tuple[Any, ...]]] = []
    where = getattr(WrappersMP, place.room)

    def change(executor: Any, *args: Any, **kwargs: Any) -> Any:
        wrong = place.changed(args)
        known.append((wrong, args))
        try:
            return executor(*wrong, **kwargs)
        finally:
            known.pop()

    def restore(executor: Any, *args: Any, **kwargs: Any) -> Any:
        return executor(*place.restored(args, *known[-1]), **kwargs)

    def go_behind(executor: Any, x: Any, t: Any, options: Any, *rest: Any) -> Any:
        # In calls of the model we go behind all who stood there when the run began.
        around = options["transformer_options"]["wrappers"][where]
        around["restore"] = around.pop("restore")
        return executor(x, t, options, *rest)

    outside = model.clone()
    outside.add_wrapper_with_key(where, "change", change)
    inside = attach(outside, method)
    inside.add_wrapper_with_key(where, "restore", restore)
    if place.room == CALL:
        inside.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "go behind", go_behind)
    return inside


def _costs_no_picture(model: Any, method: str) -> None:
    """As without us, as ever, or something in between and the report says so; or a refusal."""
    try:
        picture = toys.sample(model, "wan")
    except StepCacheError as error:
        assert METHODS[method].name in str(error) or "Step Cache" in str(error)
    else:
        report = last_report(model)
        assert torch.isfinite(picture).all()
        if not torch.equal(picture, drawn(method)):
            # Where the options are lost, guidance stays whole; where the sampler is, something else
            # is carried. A note says so.
            told = any(
                TOLD in note or note.startswith("guidance: ") or note == JOINS_STEPS
                for note in report.notes
            )
            assert told or report.nothing_reused_because or report.forced
            assert told or torch.equal(picture, drawn())
    assert observe.stored_bytes() == 0
    assert torch.equal(toys.sample(toys.load("wan"), "wan"), drawn())


def test_there_are_enough_places() -> None:
    assert len(PLACES) >= 40
    assert {place.room for place in PLACES.values()} == set(ASKED)


@pytest.mark.parametrize(("place", "method"), CASES)
def test_a_foreign_value_costs_no_picture(place: Place, method: str) -> None:
    _costs_no_picture(_between(toys.load("wan"), place, METHODS[method]), method)


@pytest.mark.parametrize("room", [RUN, PASS, CALL])
def test_what_the_report_says_names_the_error(room: str) -> None:
    place = {RUN: "schedule: words", PASS: "noise level: none", CALL: "uuids: shorter"}[room]
    method = ASKED[room][0]
    model = _between(toys.load("wan"), PLACES[f"{room}, {place}"], METHODS[method])
    toys.sample(model, "wan")
    (note,) = (note for note in last_report(model).notes if TOLD in note)
    assert "Error: " in note or "Exception: " in note
    assert "the picture is as without it" in note
