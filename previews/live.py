"""Tells the front end how a run goes, for the strips on the nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from server import PromptServer

from ..cache_core.host import Listener
from ..cache_core.report import Report

EVENT = "stepcache.run"


def listener_of(node_type: str, node_id: str | None) -> Listener | None:
    """Who tells the front end about runs of the model that left a node.

    Args:
        node_type: its kind of node.
        node_id: the node's identity in the graph that is executed; None outside of one.
    """
    return _Listener(node_type, node_id) if node_id is not None else None


@dataclass(frozen=True, slots=True)
class _Listener:
    """Stands in a model's options; arguments as of `listener_of`."""

    node_type: str
    node_id: str

    def __call__(self, report: Report) -> None:
        server: Any = getattr(PromptServer, "instance", None)
        # Without a client, an event would reach everybody's graphs.
        if server is not None and server.client_id is not None:
            data = {"node": self.node_id, "type": self.node_type, **state_of(report)}
            server.send_sync(EVENT, data, server.client_id)


def state_of(report: Report) -> dict[str, Any]:
    """What has happened so far; when the run is over, the whole report."""
    strips = {kind: report.strip_of(kind) for kind in report.plans}
    state: dict[str, Any] = {
        "outcome": report.outcome,
        "evaluations": report.evaluations,
        "steps": report.steps,
        "strips": strips,
        "plans": dict(report.plans),
    }
    if report.outcome != "running":
        state["report"] = report.to_dict()
    return state
