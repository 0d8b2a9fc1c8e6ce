"""What to put in place of other packs' caches: `python scripts/from_other_packs.py graph.json`.

Reads graphs as the front end saves them, subgraphs too, and prompts as the API takes them. Nothing
is changed; docs/from-other-packs.md has the same table to read. Needs Python alone.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STEP_CACHE = "Step Cache"
DEEPCACHE = "DeepCache UNet"
TGATE = "TGATE Gate"
COMPILE = "Regional Compile"
NOTHING = "nothing"
SPEED = ("start with speed 2",)
"""These caches decide while they run, so that a threshold does not say how fast they are."""


@dataclass(frozen=True)
class Node:
    """A node of another pack.

    Args:
        pack: where it comes from.
        instead: our node.
        inputs: its own inputs in the order in which graphs save them, without the model.
        carried: by one of these, our input that takes its value, and what that is multiplied by.
        advice: what else to do.
    """

    pack: str
    instead: str
    inputs: tuple[str, ...] = ()
    carried: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    advice: tuple[str, ...] = ()


WINDOW = {"start_percent": ("start_percent", 1.0), "end_percent": ("end_percent", 1.0)}
BLOCKS = ("that one compiles the whole model; this one compiles blocks, also beside caches",)
WRAPPED = ("that pack samples by itself; load the model with ComfyUI's own nodes, then Step Cache",)
EASY = ("reuse_threshold", "start_percent", "end_percent", "verbose")
TEA = ("model_type", "rel_l1_thresh", "start_percent", "end_percent", "cache_device")
FIRST_BLOCK = (
    "object_to_patch", "residual_diff_threshold", "start", "end", "max_consecutive_cache_hits",
)  # fmt: skip
GATE = {"start_at": ("gate_share", 1.0)}
GATED = ("gate_step 0", "self_interval 1", "self_attn_start_at has no counterpart")

NODES: dict[str, Node] = {
    "EasyCache": Node("ComfyUI", STEP_CACHE, EASY, {}, SPEED),
    "LazyCache": Node("ComfyUI", STEP_CACHE, EASY, {}, SPEED),
    "TeaCache": Node("ComfyUI-TeaCache", STEP_CACHE, TEA, WINDOW, SPEED),
    "TeaCacheForImgGen": Node("ComfyUI-TeaCache, older", STEP_CACHE, TEA[:2], {}, SPEED),
    "TeaCacheForVidGen": Node("ComfyUI-TeaCache, older", STEP_CACHE, TEA[:2], {}, SPEED),
    "WanVideoTeaCacheKJ": Node(
        "KJNodes", STEP_CACHE,
        ("rel_l1_thresh", "start_percent", "end_percent", "cache_device", "coefficients"),
        WINDOW, SPEED,
    ),
    "MagCache": Node(
        "ComfyUI-MagCache", STEP_CACHE,
        ("model_type", "magcache_thresh", "retention_ratio", "magcache_K"),
        {"retention_ratio": ("start_percent", 1.0)}, SPEED,
    ),
    "MagCacheCalibration": Node("ComfyUI-MagCache", NOTHING, advice=("Step Cache needs none",)),
    "ApplyFBCacheOnModel": Node(
        "Comfy-WaveSpeed", STEP_CACHE, FIRST_BLOCK,
        {"start": ("start_percent", 1.0), "end": ("end_percent", 1.0)}, SPEED,
    ),
    "DeepCache": Node(
        "ComfyUI-deepcache", DEEPCACHE, ("cache_interval", "cache_depth", "start_step", "end_step"),
        {
            "cache_interval": ("interval", 1.0), "cache_depth": ("branch", 1.0),
            "start_step": ("start_percent", 0.001), "end_step": ("end_percent", 0.001),
        },
    ),
    "TGateApplySimple": Node(
        "ComfyUI_TGate", TGATE, ("start_at", "use_cpu_cache"), GATE, GATED[:2]
    ),
    "TGateApplyAdvanced": Node(
        "ComfyUI_TGate", TGATE,
        ("start_at", "self_attn_start_at", "only_cross_attention", "use_cpu_cache"), GATE, GATED,
    ),
    "TGateApply": Node(
        "ComfyUI_TGate", TGATE,
        ("start_at", "only_cross_attention", "self_attn_start_at", "use_cpu_cache"), GATE, GATED,
    ),
    "EnhancedCompileModel": Node("Comfy-WaveSpeed", COMPILE, advice=BLOCKS),
    "CompileModel": Node("ComfyUI-TeaCache, ComfyUI-MagCache", COMPILE, advice=BLOCKS),
    "TeaCacheForCogVideoX": Node("ComfyUI-TeaCache", NOTHING, advice=WRAPPED),
    "WanVideoTeaCache": Node("ComfyUI-WanVideoWrapper", NOTHING, advice=WRAPPED),
    "WanVideoMagCache": Node("ComfyUI-WanVideoWrapper", NOTHING, advice=WRAPPED),
    "WanVideoEasyCache": Node("ComfyUI-WanVideoWrapper", NOTHING, advice=WRAPPED),
}  # fmt: skip
"""By the name under which graphs save them."""


def found_in(graph: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Nodes of other packs: number, kind and values of inputs, as far as they are known."""
    if "nodes" not in graph:
        for number, node in graph.items():
            if isinstance(node, Mapping) and node.get("class_type") in NODES:
                yield number, str(node["class_type"]), dict(node.get("inputs", {}))
        return
    parts = graph.get("definitions", {}).get("subgraphs", [])
    for part in (graph, *parts):
        for node in part["nodes"]:
            kind = node.get("type")
            if kind in NODES:
                values = node.get("widgets_values") or []
                named = values if isinstance(values, Mapping) else zip(
                    NODES[kind].inputs, values, strict=False
                )  # fmt: skip
                yield str(node["id"]), kind, dict(named)


def advice_on(kind: str, values: Mapping[str, Any]) -> str:
    """What to put in place of a node, in words."""
    node = NODES[kind]
    # What comes over a link has no value in the file.
    known = {
        name: factor * values[own]
        for own, (name, factor) in node.carried.items()
        if isinstance(values.get(own), int | float)
    }
    if node.carried.keys() >= WINDOW.keys() and not known.keys() >= WINDOW.keys():
        # A graph of an older version, whose third value is another input.
        known = {}
    settings = [f"{name} {value:g}" for name, value in known.items()]
    return f"{node.instead}: {', '.join((*settings, *node.advice))}"


def main() -> int:
    """Tell what to do about every graph. Returns the exit status: 1 if one could not be read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("graphs", nargs="+", type=Path, help="workflow or prompt, as .json")
    status = 0
    for path in parser.parse_args().graphs:
        try:
            graph = json.loads(path.read_text(encoding="utf-8"))
            found = list(found_in(graph))
        except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
            print(f"{path}: no workflow or prompt of ComfyUI ({error})", file=sys.stderr)
            status = 1
            continue
        print(f"{path}: nodes to replace: {len(found) or 'none'}")
        for number, kind, values in found:
            print(f"  node {number}, {kind} ({NODES[kind].pack}) -> {advice_on(kind, values)}")
    print("Then compare with Step Cache Compare Runs, and move the sliders.")
    return status


if __name__ == "__main__":
    sys.exit(main())
