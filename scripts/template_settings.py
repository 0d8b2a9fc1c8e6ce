"""What the official templates sample with, and what our nodes do with it as they come.

    python scripts/template_settings.py            # runs the table on tiny models and prints it
    python scripts/template_settings.py --extract  # reads the installed templates anew

The settings lie in tests/support/template_settings.json, so that tests need no templates.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = ROOT / "tests" / "support" / "template_settings.json"
PACKAGE = "comfyui_workflow_templates"

TOYS = (
    (r"lotus", "lotus"),
    (r"sdxl|sd_xl|juggernaut|pony|illustrious", "sdxl"),
    (r"svd", "svd"),
    (r"sd3", "sd3"),
    (r"512-inpainting", "inpaint"),
    (r"v2-1|sd2", "sd2"),
    (r"v1-5|sd1|dreamshaper_8|majicmix|awpainting|anything", "sd15"),
    (r"flux.?1.?fill", "flux_fill"),
    (r"flux.?2|klein", "flux2"),
    (r"chroma", "chroma"),
    (r"ovis", "ovis"),
    (r"longcat", "longcat"),
    (r"kontext", "kontext"),
    (r"flux", "flux"),
    (r"wan.*s2v", "wan_s2v"),
    (r"wan.*vace", "wan_vace"),
    (r"wan.*animate", "wan_animate"),
    (r"wan.*5b", "wan22_5b"),
    (r"humo", "wan_humo"),
    (r"causal_forcing|causvid", "wan_causal"),
    (r"chrono_edit", "wan_i2v"),
    (r"wan", "wan"),
    (r"ltx.?2", "ltxav"),
    (r"ltx", "ltxv"),
    (r"hunyuan3d.*2.1", "hunyuan3d_21"),
    (r"hunyuan.?3d", "hunyuan3d"),
    (r"hunyuanvideo.?1.?5|capybara", "hunyuan_video_15"),
    (r"hunyuanimage", "hunyuan_image"),
    (r"hunyuan", "hunyuan_video"),
    (r"anima", "anima"),
    (r"predict2", "cosmos_predict2"),
    (r"cosmos", "cosmos"),
    (r"mage_flow", "mage_flow"),
    (r"qwen|firered", "qwen"),
    (r"hidream.?o1", "hidream_o1"),
    (r"hidream", "hidream"),
    (r"z_?image", "zimage"),
    (r"lumina|newbie|netayume", "lumina2"),
    (r"omnigen", "omnigen2"),
    (r"ace.?step.?v?1.?5", "ace_step_15"),
    (r"ace.?step", "ace_step"),
    (r"stable.?audio.?3", "stable_audio_3"),
    (r"stable.?audio", "stable_audio"),
    (r"mochi", "mochi"),
    (r"auraflow", "auraflow"),
    (r"kandinsky", "kandinsky5"),
    (r"seedvr2", "seedvr2"),
    (r"minimax", "minimax"),
    (r"triposplat", "triposplat"),
    (r"boogu", "boogu"),
    (r"ernie", "ernie"),
    (r"ideogram4", "ideogram4"),
    (r"joyai|joyimage", "joyimage"),
    (r"krea2", "krea2"),
    (r"lens", "lens"),
    (r"pixeldit", "pixeldit"),
    (r"void|cogvideo", "cogvideox"),
)
"""Names of model files, and the tiny model of the same family."""

SCHEDULERS = {
    "BasicScheduler": lambda w: (w[0], w[1], w[2]),
    "Flux2Scheduler": lambda w: ("simple", w[0], 1.0),
    "LTXVScheduler": lambda w: ("simple", w[0], 1.0),
    "SDTurboScheduler": lambda w: ("sgm_uniform", w[0], w[1]),
    "BetaSamplingScheduler": lambda w: ("beta", w[0], 1.0),
    "Ideogram4Scheduler": lambda w: ("simple", w[0], 1.0),
    "ManualSigmas": lambda w: ("simple", len(re.findall(r"[0-9.]+", str(w[0]))) - 1, 1.0),
}
"""Scheduler, steps and denoise by a node's widgets; "simple" where KSampler has none like it."""


class Graph:
    """One level of a workflow: its nodes, and what is linked to them."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.nodes = {node["id"]: node for node in given.get("nodes", ())}
        self._origins: dict[Any, Any] = {}
        for link in given.get("links", ()):
            if isinstance(link, dict):
                self._origins[link["id"]] = link["origin_id"]
            elif link:
                self._origins[link[0]] = link[1]

    def before(self, node: dict[str, Any], name: str) -> dict[str, Any] | None:
        """The node that an input is linked to."""
        for given in node.get("inputs") or ():
            if given.get("name") == name and given.get("link") is not None:
                return self.nodes.get(self._origins.get(given["link"]))
        return None

    def upstream(self, node: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
        """A node and all before it, the nearest first."""
        waiting, seen = [node] if node else [], set[Any]()
        while waiting:
            node = waiting.pop(0)
            if node["id"] not in seen:
                seen.add(node["id"])
                yield node
                names = [given["name"] for given in node.get("inputs") or ()]
                waiting += [found for name in names if (found := self.before(node, name))]


def extracted() -> list[dict[str, Any]]:
    """The different settings of all installed templates."""
    found: dict[str, dict[str, Any]] = {}
    for path in _templates():
        try:
            workflow = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue
        if not isinstance(workflow, dict) or "nodes" not in workflow:
            continue
        subgraphs = workflow.get("definitions", {}).get("subgraphs", [])
        for graph in map(Graph, (workflow, *subgraphs)):
            for node in graph.nodes.values():
                setting = _setting(graph, node)
                if setting is not None:
                    found.setdefault(json.dumps(setting), {**setting, "template": path.stem})
    return sorted(found.values(), key=lambda s: [str(value) for value in s.values()])


def _templates() -> list[Path]:
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{PACKAGE} is not installed; ComfyUI's requirements name it")
    site = Path(next(iter(spec.submodule_search_locations))).parent
    return sorted(site.glob(f"{PACKAGE}*/templates/*.json"))


def _setting(graph: Graph, node: dict[str, Any]) -> dict[str, Any] | None:
    """What a sampler is set to: a line of the table; None of other nodes."""
    widgets: Any = node.get("widgets_values")
    try:
        if node["type"] == "KSampler":
            _, _, steps, cfg, sampler, scheduler, denoise = widgets[:7]
            start, end = 0, steps
        elif node["type"] == "KSamplerAdvanced":
            _, _, _, steps, cfg, sampler, scheduler, start, end = widgets[:9]
            denoise = 1.0
        elif node["type"] in ("SamplerCustom", "SamplerCustomAdvanced"):
            sampler, (scheduler, steps, denoise) = _custom(graph, node)
            cfg = _scale(graph, node)
            start, end = 0, steps
        else:
            return None
        steps, start, end = int(steps), int(start), min(int(end), int(steps))
    except (TypeError, ValueError, IndexError, LookupError):
        return None
    toy = _toy(graph, node)
    if toy is None or steps < 1 or start >= end or not 0 < float(denoise) <= 1:
        return None
    return {
        "toy": toy, "sampler": str(sampler), "scheduler": str(scheduler), "steps": steps,
        "cfg": float(cfg), "denoise": float(denoise), "start": start, "end": end,
    }  # fmt: skip


def _custom(graph: Graph, node: dict[str, Any]) -> tuple[str, tuple[Any, Any, Any]]:
    named = graph.before(node, "sampler")
    sampler = named["widgets_values"][0] if named and named["type"] == "KSamplerSelect" else "euler"
    for each in graph.upstream(graph.before(node, "sigmas")):
        if each["type"] in SCHEDULERS:
            return sampler, SCHEDULERS[each["type"]](each["widgets_values"])
    raise LookupError("no scheduler that is known")


def _scale(graph: Graph, node: dict[str, Any]) -> float:
    if node["type"] == "SamplerCustom":
        return node["widgets_values"][3]
    guider = graph.before(node, "guider")
    is_scaled = guider is not None and guider["type"] in ("CFGGuider", "DualModelGuider")
    return guider["widgets_values"][0] if guider and is_scaled else 1.0


def _toy(graph: Graph, node: dict[str, Any]) -> str | None:
    start = graph.before(node, "model") or graph.before(node, "guider")
    for each in graph.upstream(start):
        if each["type"] in ("UNETLoader", "CheckpointLoaderSimple", "ImageOnlyCheckpointLoader"):
            name = str((each.get("widgets_values") or [""])[0]).lower()
            return next((toy for pattern, toy in TOYS if re.search(pattern, name)), None)
    return None


def main() -> None:
    """Extract, or run the table."""
    if "--extract" in sys.argv[1:]:
        lines = ",\n".join(json.dumps(setting) for setting in extracted())
        SETTINGS.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
        print(f"wrote {SETTINGS}")
        return
    import booted_on_cpu

    import templates

    print("\n".join(templates.table(templates.settings())))


if __name__ == "__main__":
    main()
