"""What nobody should send, and somebody will: strings with tags, and events that make no sense."""

from __future__ import annotations

import contextlib
import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from frontend import ROOT, STRIP, FrontEnd, read_workflow
from rest import looks

PAB = "StepCacheApplyPAB"
SMOOTHCACHE = "StepCacheSmoothCache"
HOSTILE = "<img src=x onerror=window.hacked=1>"
ROUTE = "**/stepcache/preview"
FILE = f"{HOSTILE}.json"


@pytest.fixture(params=["whole", "broken"])
def hostile_file(request: pytest.FixtureRequest, address: str) -> Iterator[str]:
    """A calibration with a tag for a name in the user's folder; which kind of file it is."""
    whole = ROOT / "calibrations" / "shapes dit, 30 steps.json"
    content = whole.read_bytes() if request.param == "whole" else b'{"<b>": 1}'
    url = f"{address}/userdata/{urllib.parse.quote(f'stepcache/{FILE}', safe='')}"
    urllib.request.urlopen(urllib.request.Request(url, data=content, method="POST")).close()
    yield request.param
    urllib.request.urlopen(urllib.request.Request(url, method="DELETE")).close()


def test_a_file_name_is_text(ui: FrontEnd, hostile_file: str) -> None:
    ui.reload()
    ui.show("dit_smoothcache")
    ui.set(SMOOTHCACHE, "schedule", FILE)
    if hostile_file == "whole":
        ui.set(SMOOTHCACHE, "choose_by", "speedup")
        ui.wait_for(lambda: "predicted 1." in ui.strip()["below"])
    else:
        ui.wait_for(lambda: HOSTILE in ui.strip()["below"])
    _assert_harmless(ui)


def test_a_title_is_text(ui: FrontEnd) -> None:
    workflow = read_workflow("dit_pab")
    for node in workflow["nodes"]:
        node["title"] = HOSTILE
    ui.show(workflow)
    ui.wait_for(lambda: HOSTILE in ui.strip()["above"])
    _assert_harmless(ui)


def test_what_a_run_says_is_text(ui: FrontEnd) -> None:
    _load_pab(ui)
    _send(
        ui,
        outcome=HOSTILE,
        plans={HOSTILE: "CR"},
        strips={HOSTILE: "CR"},
        report={
            "version": 1, "outcome": HOSTILE, "peak_bytes": 0, "seconds": 1.0, "reused": 1,
            "nothing_reused_because": HOSTILE,
            "forced": [{"kind": HOSTILE, "reason": HOSTILE, "count": 1}],
        },
    )  # fmt: skip
    ui.wait_for(lambda: ui.strip()["below"].startswith(HOSTILE))
    assert HOSTILE in ui.strip()["words"]
    _assert_harmless(ui)


def test_events_about_others_are_passed_by(ui: FrontEnd) -> None:
    before = _load_pab(ui)
    for detail in (
        None, {}, {"node": "999", "type": PAB, "plans": {}}, {"node": "1:2:3", "plans": {}},
        {"node": {"a": 1}, "type": 3, "plans": []},
        {"node": ui.number_of(PAB), "type": "KSampler", "plans": {"self_attention": "CC"}},
        {"node": ui.number_of(PAB), "type": PAB, "plans": {"self_attention": "CC"}},
        {"node": ui.number_of(PAB), "type": PAB, "plans": {"block": 7}, "strips": {}},
    ):  # fmt: skip
        _dispatch(ui, detail)
    looks(ui)
    assert ui.strip() == before


@pytest.mark.parametrize("version", [1, 2, 99], ids=["half a report", "2", "99"])
def test_a_report_of_a_newer_version_is_not_guessed_at(ui: FrontEnd, version: int) -> None:
    _load_pab(ui)
    strips = {"self_attention": "CR"}
    _send(ui, evaluations=2, plans=strips, strips=strips, report={"version": version})
    ui.wait_for(lambda: "made by a newer Step Cache" in ui.strip()["below"])
    ui.set(PAB, "self_attention", 5)
    ui.wait_for(lambda: "% of these layers" in ui.strip()["below"])


NO_ROUTE = "this server has no Step Cache preview"
NO_ANSWER = "the server did not answer"


@contextlib.contextmanager
def answering(ui: FrontEnd, status: int, body: str) -> Iterator[None]:
    """Instead of our route, something else answers; Chromium itself complains about a 404."""
    ui.page.route(ROUTE, lambda route: route.fulfill(status=status, body=body))
    try:
        yield
        assert all("Failed to load resource" in each for each in ui.complaints())
    finally:
        ui.page.unroute(ROUTE)
        ui.forget()


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, "no", NO_ROUTE),
        (404, "{}", NO_ANSWER),
        (200, "<!doctype html>", NO_ROUTE),
        (500, "null", NO_ANSWER),
        (200, "[]", NO_ANSWER),
    ],
    ids=["no route", "no route in JSON", "a page", "nothing", "no answers"],
)
def test_a_server_without_our_route_is_named(
    ui: FrontEnd, status: int, body: str, words: str
) -> None:
    with answering(ui, status, body):
        ui.load("dit_pab")
        ui.wait_for(lambda: ui.strips() and ui.strip()["below"] == f"no preview: {words}")


def test_without_our_route_the_graph_runs_and_the_strip_fills(ui: FrontEnd) -> None:
    with answering(ui, 404, "no"):
        ui.load("dit_pab")
        ui.queue()
        ui.wait_for(lambda: ui.strips() and "MiB" in ui.strip()["below"])
        assert ui.strip()["words"].startswith("self-attention: ")
    ui.set(PAB, "self_attention", 5)
    ui.wait_for(lambda: "% of these layers" in ui.strip()["below"])


WITHOUT_ELEMENTS = """
(() => {
    let kept;
    Object.defineProperty(window, "LGraphNode", {
        configurable: true,
        get: () => kept,
        set(Node) {
            kept = Node;
            let { addDOMWidget } = Node.prototype;
            const isOurs = (node) => String(node.comfyClass ?? node.type).startsWith("StepCache");
            Object.defineProperty(Node.prototype, "addDOMWidget", {
                configurable: true,
                get() { return isOurs(this) ? undefined : addDOMWidget; },
                set(method) { addDOMWidget = method; },
            });
        },
    });
})();
"""
"""Before the front end: our nodes, and only they, meet one that has no elements on nodes."""


def test_an_older_front_end_goes_without_strips(browser: Any, address: str) -> None:
    front_end = FrontEnd(browser, address, is_vue=False)
    with front_end.opened(before=WITHOUT_ELEMENTS) as ui:
        ui.load("dit_pab")
        ui.queue()
        ui.wait_for(lambda: ui.shown_on("StepCacheReport"))
        assert ui.strips() == []
        assert ui.complaints() == []


def _load_pab(ui: FrontEnd) -> dict[str, Any]:
    ui.show("dit_pab")
    return ui.strip()


def _send(ui: FrontEnd, **state: Any) -> None:
    """What the server tells about a run of our node."""
    common = {"node": ui.number_of(PAB), "type": PAB, "outcome": "finished", "evaluations": 1}
    _dispatch(ui, {**common, **state})


def _dispatch(ui: FrontEnd, detail: Any) -> None:
    ui.page.evaluate(
        """(detail) => window.app.api.dispatchEvent(
            new CustomEvent("stepcache.run", { detail }))""",
        json.loads(json.dumps(detail)),
    )


def _assert_harmless(ui: FrontEnd) -> None:
    """No string has become an element, and none was run."""
    # What loads nothing says so in its turn: after an image of theirs, had it become one.
    ui.page.evaluate(
        """() => new Promise((done) => Object.assign(new Image(), { onerror: done, src: "x" }))"""
    )
    assert ui.page.evaluate("() => window.hacked") is None
    assert ui.page.locator("img[src=x]").count() == 0
    assert ui.page.locator(f"{STRIP} img").count() == 0
