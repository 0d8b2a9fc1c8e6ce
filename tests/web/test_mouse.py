"""Widgets moved with a real mouse and keys, in both renderers; the strip follows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from frontend import FrontEnd
from gestures import choose, drag, step_up, type_into
from rest import settle

PAB = "StepCacheApplyPAB"
SMOOTHCACHE = "StepCacheSmoothCache"
SAMPLER = "KSampler"
HIDE = (
    """() => Object.defineProperty(document, "hidden", { configurable: true, get: () => true })"""
)


def step_up_often(*where: Any) -> None:
    """Far enough that another step of the run computes."""
    for _ in range(5):
        step_up(*where)


@pytest.mark.parametrize(
    ("name", "move", "low", "high"),
    [
        ("self_attention", step_up, 3, 3),
        ("self_attention", lambda *where: drag(*where, 60), 3, 100),
        ("self_attention", lambda *where: type_into(*where, "5"), 5, 5),
        ("start_percent", step_up_often, 0.199, 0.201),
        ("start_percent", lambda *where: drag(*where, 60), 0.151, 0.99),
        ("start_percent", lambda *where: type_into(*where, "0.6"), 0.6, 0.6),
    ],
    ids=[f"{kind} {way}" for kind in ("int", "float") for way in ("stepped", "dragged", "typed")],
)
def test_a_number_is_moved(
    ui: FrontEnd, name: str, move: Callable[..., None], low: float, high: float
) -> None:
    ui.show("dit_pab", PAB)
    before = ui.strip()["cells"]
    move(ui, PAB, name)
    ui.wait_for(lambda: ui.strip()["cells"] != before)
    assert low <= ui.value(PAB, name) <= high


def test_an_option_is_chosen(ui: FrontEnd) -> None:
    ui.show("dit_smoothcache", SMOOTHCACHE)
    before, old = ui.strip()["cells"], ui.value(SMOOTHCACHE, "schedule")
    other = next(each for each in _options(ui, "schedule") if each != old)
    choose(ui, SMOOTHCACHE, "schedule", other)
    ui.wait_for(lambda: ui.strip()["cells"] != before)
    assert ui.value(SMOOTHCACHE, "schedule") == other


@pytest.fixture
def hidden(ui: FrontEnd) -> Iterator[FrontEnd]:
    """A page that takes itself for hidden, so that hands alone are followed."""
    ui.show("dit_pab", PAB)
    settle(ui)
    ui.page.evaluate(HIDE)
    yield ui
    ui.page.evaluate("() => { window.releaseTimers?.(); delete document.hidden; }")


@pytest.mark.parametrize(
    "move",
    [step_up, lambda *where: drag(*where, 60), lambda *where: type_into(*where, "12")],
    ids=["stepped", "dragged", "typed"],
)
def test_a_hand_on_the_sampler_is_followed_at_once(
    hidden: FrontEnd, move: Callable[..., None]
) -> None:
    """Without the look that is taken every now and then, which a hidden page goes without."""
    before = hidden.strip()["above"]
    assert before.startswith("30 steps")
    move(hidden, SAMPLER, "steps")
    hidden.wait_for(lambda: hidden.strip()["above"] != before)
    # Where it is dragged, the strip may show a value on the way.
    steps = hidden.value(SAMPLER, "steps")
    hidden.wait_for(lambda: hidden.strip()["above"].startswith(f"{steps} steps"))


SET_STEPS = """() => {
    const node = window.app.graph._nodes.find(({ type }) => type === "KSampler");
    node.widgets.find(({ name }) => name === "steps").value = 12;
}"""
LET_GO = """() => window.dispatchEvent(new PointerEvent("pointerup"))"""
HOLD_TIMERS = """() => {
    const [later, held] = [window.setTimeout, []];
    window.setTimeout = (...asked) => (asked[1] ? held.push(asked) : later(...asked));
    window.releaseTimers = () => {
        window.setTimeout = later;
        delete window.releaseTimers;
        for (const asked of held) later(...asked);
    };
}"""


def test_a_hand_is_followed_without_waiting(hidden: FrontEnd) -> None:
    """The look that is taken once its event is over; what waits is held back."""
    hidden.page.evaluate(HOLD_TIMERS)
    hidden.page.evaluate(f"() => {{ ({SET_STEPS})(); ({LET_GO})(); }}")
    hidden.wait_for(lambda: hidden.strip()["above"].startswith("12 steps"))


def test_what_moves_after_its_event_is_followed(hidden: FrontEnd) -> None:
    """The second look, after the one that came too early."""
    hidden.page.evaluate(f"() => {{ ({LET_GO})(); setTimeout({SET_STEPS}, 10); }}")
    hidden.wait_for(lambda: hidden.strip()["above"].startswith("12 steps"))


def _options(ui: FrontEnd, name: str) -> list[str]:
    return ui.page.evaluate(
        """([type, name]) => window.app.graph._nodes.find((each) => each.type === type)
            .widgets.find((each) => each.name === name).options.values""",
        [SMOOTHCACHE, name],
    )
