"""From a workflow as the front end saves it to the prompt that a ComfyUI server executes."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

Workflow = Mapping[str, Any]
Prompt = dict[str, dict[str, Any]]

NOTES = frozenset({"Note", "MarkdownNote"})
CHOICE_WITH_MORE = "COMFY_DYNAMICCOMBO_V3"
"""A list whose entries may bring inputs of their own; workflows here choose entries without."""
WIDGET_TYPES = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", CHOICE_WITH_MORE})
SEEDS = frozenset({"seed", "noise_seed"})
JUDGES = frozenset({"ShapesJudge"})
SAMPLERS = frozenset({"KSampler", "KSamplerAdvanced", "SamplerCustom", "SamplerCustomAdvanced"})
STEPPED = SAMPLERS | {"StepCacheSmoothCache"}
"""Nodes that are told the number of steps, which must be the same on all of them."""


class PromptError(ValueError):
    """A workflow that does not fit the nodes of the server."""


def node_types(workflow: Workflow) -> set[str]:
    """The classes of nodes that a workflow executes."""
    return {node["type"] for node in workflow["nodes"]} - NOTES


def to_prompt(workflow: Workflow, object_info: Mapping[str, Any]) -> Prompt:
    """Convert a workflow of plain nodes and notes; no subgraphs, reroutes or muted nodes.

    Args:
        workflow: the parsed file.
        object_info: what the server answers to GET /object_info.

    Returns:
        Node number -> class and inputs; an input is a value or [node number, output].

    Raises:
        PromptError: a node is unknown, or its saved values do not fit its widgets.
    """
    sources = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    prompt: Prompt = {}
    for node in workflow["nodes"]:
        kind = node["type"]
        if kind in NOTES:
            continue
        if kind not in object_info:
            raise PromptError(f"the server has no node {kind}")
        inputs = _widget_values(node, object_info[kind])
        inputs |= {
            socket["name"]: sources[socket["link"]]
            for socket in node.get("inputs", ())
            if socket.get("link") is not None
        }
        prompt[str(node["id"])] = {
            "class_type": kind,
            "inputs": inputs,
            "_meta": {"title": node.get("title", kind)},
        }
    return prompt


def with_inputs(prompt: Prompt, values: Mapping[str, Any], kinds: frozenset[str]) -> Prompt:
    """A copy in which nodes of some classes have other values, for those inputs that they have.

    Args:
        prompt: stays as it is.
        values: input name -> value; links are never replaced.
        kinds: classes of nodes.
    """
    changed = copy.deepcopy(prompt)
    for node in changed.values():
        if node["class_type"] in kinds:
            for name, value in values.items():
                if name in node["inputs"] and not isinstance(node["inputs"][name], list):
                    node["inputs"][name] = value
    return changed


def with_seed(prompt: Prompt, seed: int) -> Prompt:
    """A copy in which every sampler draws its noise from `seed`."""
    return with_inputs(prompt, dict.fromkeys(SEEDS, seed), SAMPLERS | {"RandomNoise"})


def nodes_of(prompt: Prompt, kinds: frozenset[str]) -> set[str]:
    """The numbers of the nodes of some classes."""
    return {number for number, node in prompt.items() if node["class_type"] in kinds}


def _widget_values(node: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, Any]:
    saved = list(node.get("widgets_values") or ())
    slots = list(_widget_slots(info))
    if len(saved) != len(slots):
        raise PromptError(
            f"node {node['id']} ({node['type']}) has {len(saved)} saved values, but the server's "
            f"node has {len(slots)} widgets: {', '.join(name or 'control' for name in slots)}"
        )
    return {name: value for name, value in zip(slots, saved, strict=True) if name is not None}


def _widget_slots(info: Mapping[str, Any]) -> Iterator[str | None]:
    """Names of the widgets in saved order; None for the seed control, which is never sent."""
    for group in ("required", "optional"):
        for name, spec in info["input"].get(group, {}).items():
            kind, settings = spec[0], spec[1] if len(spec) > 1 else {}
            if not (isinstance(kind, list) or kind in WIDGET_TYPES) or settings.get("forceInput"):
                continue
            yield name
            if settings.get("control_after_generate") or (kind == "INT" and name in SEEDS):
                yield None
