"""Runs that are stopped, whose node goes away, or that somebody else has asked for."""

from __future__ import annotations

import io
import re
import urllib.parse
import urllib.request
from typing import Any

import numpy as np
from frontend import FrontEnd
from patience import HANG
from PIL import Image

PAB = "StepCacheApplyPAB"
STEPS = 12
ENDLESS = 1000
"""Steps of a run that is met under way, however slow the test is."""


def test_after_an_interrupt_the_same_picture_is_drawn(ui: FrontEnd) -> None:
    ui.load("dit_pab")
    _queue_and_meet(ui, seed=11)
    ui.page.keyboard.press("Control+Alt+Enter")
    ui.wait_for(lambda: ui.strip()["below"].startswith("interrupted"))
    assert ui.strip()["planned"] > 0, "what never happened is still a plan"
    ui.set("KSampler", "steps", STEPS)
    again = _picture(ui, seed=11)
    assert ui.strip()["planned"] == 0
    assert "stopped" not in ui.strip()["below"]
    # Means nothing while no feed-forward layer is reused, but makes the server draw anew.
    ui.set(PAB, "feed_forward_blocks", 6)
    assert np.array_equal(_picture(ui, seed=11), again)


def test_the_report_shows_its_text(ui: FrontEnd) -> None:
    ui.load("dit_pab")
    shown = ui.page.get_by_test_id("stepcache-report")
    assert shown.text_content() == "The report of the next run appears here."
    ui.queue()
    ui.wait_for(lambda: "self-attention" in shown.text_content().replace("_", "-"))


def test_a_node_may_go_away_during_its_run(ui: FrontEnd) -> None:
    ui.load("dit_pab")
    _queue_and_meet(ui, seed=13)
    ui.page.evaluate(
        """() => {
            window.told = [];
            const { api } = window.app;
            api.addEventListener("stepcache.run", ({ detail }) => window.told.push(detail.outcome));
        }"""
    )
    ui.page.evaluate(
        """(type) => {
            const { graph } = window.app;
            graph.remove(graph._nodes.find((each) => each.type === type));
        }""",
        PAB,
    )
    ui.page.keyboard.press("Control+Alt+Enter")
    ui.wait_for(lambda: any(each.startswith("interrupted") for each in _told(ui)))
    assert ui.strips() == []
    ui.undo()
    ui.wait_for(ui.is_drawn)


def test_runs_of_another_client_are_not_shown(ui: FrontEnd) -> None:
    """Somebody else runs the same graph on the same server, so that all ids are the same."""
    ui.show("dit_pab")
    before = ui.strip()
    ui.set("KSampler", "seed", 14)
    number = ui.page.evaluate(
        """async () => {
            const { output } = await window.app.graphToPrompt();
            const body = JSON.stringify({ prompt: output, client_id: "somebody else" });
            const answer = await window.app.api.fetchApi("/prompt", { method: "POST", body });
            return (await answer.json()).prompt_id;
        }"""
    )
    ui.wait_for(lambda: _outcome(ui, number))
    assert _outcome(ui, number) == "success"
    assert ui.strip() == before


def _queue_and_meet(ui: FrontEnd, seed: int) -> None:
    """Run for ever, and wait until some steps have happened and others have not."""
    ui.wait_for(ui.is_drawn)
    ui.set("KSampler", "steps", ENDLESS)
    ui.queue(seed)
    ui.wait_for(lambda: re.match(r"sampling, \d\d+ eval", ui.strip()["below"]))
    assert ui.strip()["planned"] > 0


def _picture(ui: FrontEnd, seed: int) -> np.ndarray[Any, Any]:
    """Run to the end; the saved picture (height, width, 3)."""
    before = ui.shown_on("SaveImage")
    ui.queue(seed)
    ui.wait_for(lambda: ui.shown_on("SaveImage") != before)
    (file,) = ui.shown_on("SaveImage")["images"]
    url = f"{ui.address}/view?{urllib.parse.urlencode(file)}"
    with urllib.request.urlopen(url, timeout=HANG) as answer:
        return np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGB"))


def _told(ui: FrontEnd) -> list[str]:
    return ui.page.evaluate("() => window.told")


def _outcome(ui: FrontEnd, number: str) -> str | None:
    return ui.page.evaluate(
        """async (number) => {
            const answer = await window.app.api.fetchApi(`/history/${number}`);
            return (await answer.json())[number]?.status?.status_str ?? null;
        }""",
        number,
    )
