"""The settings of the official templates on tiny models, with each node as it comes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pack

import toys
from stepcache.cache_core.errors import StepCacheError, UnsupportedModelError
from stepcache.cache_core.host import attach, last_report
from stepcache.cache_core.methods import StepCache
from stepcache.nodes.method_nodes import METHOD_NODES

NODES = tuple(node for method, node in METHOD_NODES.items() if method is not StepCache)
"""Those of methods inside the network."""
ACTS, REFUSES, NOTHING = "reuses", "refuses the model", "reuses nothing"

FILE = Path(pack.ROOT, "tests", "support", "template_settings.json")
"""Written by scripts/template_settings.py."""


def settings() -> list[dict[str, Any]]:
    """Model, sampler, scheduler, steps, CFG, denoise, start and end, each once."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def method_of(node: Any) -> Any:
    """The method of a node that nobody has touched."""
    given = {
        item.id: item.as_dict().get(
            "default", next(iter(item.as_dict().get("options") or ()), None)
        )
        for item in node.define_schema().inputs
        if item.id != "model"
    }
    return node.method(**given)


def outcome(node: Any, setting: dict[str, Any]) -> tuple[str, str]:
    """What a node does in a run with these settings, and why it reuses nothing."""
    name = setting["toy"]
    try:
        model = attach(toys.load(name), method_of(node))
    except UnsupportedModelError as error:
        return REFUSES, str(error)
    try:
        sampled(model, setting)
    except StepCacheError as error:
        return NOTHING, f"stopped: {error}"
    report = last_report(model)
    assert report is not None
    reason = report.nothing_reused_because
    return (ACTS, "") if reason is None else (NOTHING, reason)


def sampled(model: Any, setting: dict[str, Any]) -> Any:
    """One run with these settings; a part of one where it has a start or an end."""
    steps, start, end = (setting[key] for key in ("steps", "start", "end"))
    part = {"start_step": start, "last_step": end} if (start, end) != (0, steps) else {}
    return toys.sample(
        model, setting["toy"], steps=steps, cfg=setting["cfg"], sampler=setting["sampler"],
        scheduler=setting["scheduler"], denoise=setting["denoise"], **part,
    )  # fmt: skip


def table(chosen: Sequence[dict[str, Any]]) -> list[str]:
    """One row per node: how many settings it reuses in, and why not in the others."""
    lines = [f"| node | {ACTS} | {REFUSES} | {NOTHING} |", "|---|---|---|---|"]
    for node in NODES:
        found = [outcome(node, setting) for setting in chosen]
        counts = Counter(what for what, _ in found)
        reasons = Counter(why for what, why in found if what == NOTHING)
        words = "; ".join(f"{count} × {why}" for why, count in reasons.most_common())
        name = node.define_schema().display_name
        lines.append(
            f"| {name} | {counts[ACTS]} | {counts[REFUSES]} | {counts[NOTHING]}: {words} |"
        )
    return lines
