"""What the front end is told while a model is sampled."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
import toys
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.methods import PAB, StepCache, TGate
from stepcache.cache_core.schedules import PercentRange
from stepcache.nodes.extension import with_strips
from stepcache.nodes.pab import ApplyPAB
from stepcache.previews.live import EVENT, listener_of, state_of

METHOD = PAB(2, 3, 3, PercentRange(0.0, 1.0))
STEPS = 6


class OpTracer:
    """Keeps what it is told, as it was then."""

    def __init__(self) -> None:
        self.states: list[dict[str, Any]] = []

    def __call__(self, report: Any) -> None:
        self.states.append(json.loads(json.dumps(state_of(report))))


@pytest.mark.parametrize("node", with_strips().values(), ids=lambda node: node.__name__)
def test_a_node_is_never_given_what_an_equal_one_has_made(node: Any) -> None:
    """Else a node in a subgraph would not hear of its run: the copy outside of it would."""
    schema = node.define_schema()
    assert schema.not_idempotent and node.NOT_IDEMPOTENT
    assert [each.name for each in schema.hidden] == ["unique_id"]


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpmpp_sde"])
def test_every_step_is_told_once_as_it_was_decided(sampler: str) -> None:
    told = OpTracer()
    patched = attach(toys.load("wan"), METHOD, told)
    toys.sample(patched, "wan", steps=STEPS, sampler=sampler)
    assert len(told.states) == STEPS + 2, "before the first step, at each, and after the last"
    final = last_report(patched).to_dict()
    for step, state in enumerate(told.states[1:-1]):
        for kind, strip in state["strips"].items():
            whole = final["kinds"][kind]["strip"]
            assert strip[:step] == whole[:step]
            assert set(strip[step:]) == {"."}, "what has not happened is not told"
    assert [state["outcome"] for state in told.states] == ["running"] * (STEPS + 1) + ["finished"]
    assert told.states[-1]["report"] == json.loads(json.dumps(final))


@pytest.mark.parametrize("sampler", ["euler", "euler_ancestral", "lcm"])
def test_the_end_of_a_run_with_forecasts_is_told(sampler: str) -> None:
    """Also where another rule has taken over under way, because the sampler adds noise."""
    told = OpTracer()
    toys.sample(attach(toys.load("wan"), StepCache(2.0), told), "wan", steps=12, sampler=sampler)
    last = told.states[-1]
    assert last["outcome"] == "finished"
    assert last["strips"] == last["plans"], "it did what it said"
    assert last["report"]["observed"] is not None
    assert bool(last["report"]["notes"]) == (sampler != "euler")


def test_the_report_has_what_a_preview_needs() -> None:
    patched = attach(toys.load("sd15"), METHOD)
    toys.sample(patched, "sd15", steps=STEPS)
    report = last_report(patched).to_dict()
    assert len(report["timeline"]["sigmas"]) == STEPS + 1
    assert len(report["timeline"]["percents"]) == len(report["timeline"]["timesteps"]) == STEPS
    assert report["layers"]["cross_attention"] == report["layers"]["self_attention"] > 0


def test_all_nodes_of_a_model_are_told() -> None:
    first, second = OpTracer(), OpTracer()
    patched = attach(toys.load("wan"), PAB(2, 1, 1, PercentRange(0.0, 1.0)), first)
    toys.sample(attach(patched, TGate(3, 0, 1, 1), second), "wan", steps=STEPS)
    assert first.states == second.states
    assert len(first.states) == STEPS + 2


def test_a_listener_that_fails_costs_no_picture(caplog: pytest.LogCaptureFixture) -> None:
    def fail(report: Any) -> None:
        raise RuntimeError("the front end is gone")

    patched = attach(toys.load("wan"), METHOD, fail)
    with caplog.at_level(logging.ERROR):
        picture = toys.sample(patched, "wan", steps=STEPS)
    assert picture.equal(toys.sample(attach(toys.load("wan"), METHOD), "wan", steps=STEPS))
    assert "could not show the run" in caplog.text


class Server:
    """Stands where the running server would, and keeps what is sent."""

    def __init__(self, client_id: str | None) -> None:
        self.client_id = client_id
        self.sent: list[tuple[str, dict[str, Any], str | None]] = []

    def send_sync(self, event: str, data: dict[str, Any], sid: str | None = None) -> None:
        self.sent.append((event, data, sid))


def test_only_the_client_that_asked_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from server import PromptServer

    patched = attach(toys.load("wan"), METHOD, listener_of("StepCacheApplyPAB", "3:7"))
    for client in ("somebody", None):
        server = Server(client)
        monkeypatch.setattr(PromptServer, "instance", server, raising=False)
        toys.sample(patched, "wan", steps=STEPS)
        assert len(server.sent) == (STEPS + 2 if client else 0), "nobody in particular"
    monkeypatch.setattr(PromptServer, "instance", Server("somebody"), raising=False)
    toys.sample(patched, "wan", steps=STEPS)
    for event, data, sid in PromptServer.instance.sent:
        assert (event, sid) == (EVENT, "somebody")
        assert (data["node"], data["type"]) == ("3:7", "StepCacheApplyPAB")


def test_outside_of_a_graph_nobody_is_told() -> None:
    assert listener_of("StepCacheApplyPAB", None) is None
    patched = ApplyPAB.execute(model=toys.load("wan"), **_defaults()).result[0]
    toys.sample(patched, "wan", steps=STEPS)
    assert last_report(patched).outcome == "finished"


def _defaults() -> dict[str, Any]:
    return {i.id: i.default for i in ApplyPAB.define_schema().inputs if i.id != "model"}
