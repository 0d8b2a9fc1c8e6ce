"""Draws the pictures of workflows that the demo does not run.

`python scripts/workflow_thumbnails.py` in the environment of `python scripts/test.py`, after a
change of those workflows. They show no result, because their models are not here: they show what
the workflow's own settings compute and reuse, as the strips on its nodes do, all methods together.
The others are made by `scripts/demo.py --thumbnails`.
"""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass
from typing import Any

import booted_on_cpu
from paths import ROOT

from PIL import Image
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.rules import Rule, plans_of
from stepcache.cache_core.sites import SiteKind
from stepcache.cache_core.strips import planned_sites, shares_of, strips_of
from stepcache.nodes.extension import NODES, with_strips
from stepcache.pictures.canvas import SCALE, Canvas, Colour
from stepcache.pictures.fonts import Fonts
from stepcache.pictures.series import in_words
from stepcache.previews.preview import assumed_timeline
from workflow_picture_models import PICTURE_MODELS
from workflow_recipes import RECIPES
from workflow_video_models import VIDEO_MODELS

WORKFLOWS = ROOT / "workflows"
MODELS = PICTURE_MODELS | VIDEO_MODELS | RECIPES
DIT = ("self_attention", "cross_attention", "feed_forward", "guidance")
UNET = (*DIT, "deep_branch")
OTHERS = {"compare_dit": ("The demo's DiT", DIT), "compare_checkpoint": ("Your checkpoint", UNET)}
"""Of workflows for no published model: title, and the kinds of layers that its size is for."""
PREFIX, YOURS = "checkpoint_", "compare_checkpoint"
STEPS = {"KSampler": 2, "StepCacheCompareRuns": 2, "BasicScheduler": 1, "LTXVScheduler": 0}
"""Which of the saved widgets of a node is the number of steps."""
NAMED = frozenset({"StepCacheCalibrate", "StepCacheCompare", "StepCacheCompareRuns"}) | {
    method.kind for model in RECIPES.values() for method in model.methods
}
"""Nodes that are what their workflow is about, whether they plan anything or not."""
MANY = 64
"""Layers of each kind: as many as any setting here counts."""

SIDE, MARGIN = 512, 24
QUALITY = 68
BACKGROUND: Colour = (24, 26, 30)
TITLE: Colour = (242, 243, 245)
DETAIL: Colour = (190, 195, 204)
LOOKS: dict[str, tuple[float, Colour]] = {
    "C": (1.0, (59, 130, 208)),
    "P": (0.5, (138, 111, 192)),
    "R": (0.25, (176, 125, 10)),
    ".": (0.05, (128, 134, 143)),
}
"""Height and colour of a step's bar: as on the nodes."""
LARGE, MIDDLE, SMALL = 46, 28, 24
GAP = 14
HIGHEST = 110
"""Pixels of a row of bars, where there are few rows."""
BELOW = 64
"""Pixels for the last line."""
WORDS = {"block": "whole blocks"}


@dataclass(frozen=True, slots=True)
class Card:
    """What a picture says.

    Args:
        title: of the model.
        methods: names of the workflow's nodes.
        strips: letters by kind of layer, as on the nodes.
    """

    title: str
    methods: list[str]
    strips: dict[str, str]

    @property
    def steps(self) -> int:
        """Steps of the run."""
        return max(map(len, self.strips.values()))


def drawn_names() -> list[str]:
    """The workflows whose pictures are made here."""
    names = sorted(path.stem for path in WORKFLOWS.glob("*.json"))
    return [n for n in names if n in MODELS or n in OTHERS or n.startswith(PREFIX)]


def card_of(name: str) -> Card:
    """What the picture of a workflow says.

    Args:
        name: of the file, without ending.

    Raises:
        ConfigError: its settings are refused.
    """
    workflow = json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))
    model = MODELS.get(name)
    title, kinds = (model.title, model.kinds) if model else OTHERS.get(name, OTHERS[YOURS])
    saved = {node["type"]: node["widgets_values"] for node in workflow["nodes"]}
    steps = next(saved[kind][place] for kind, place in STEPS.items() if kind in saved)
    nodes = {schema.node_id: schema for schema in (node.define_schema() for node in NODES)}
    methods: list[str] = []
    rules: list[Rule] = []
    timeline = Timeline.even(steps)
    for node in workflow["nodes"]:
        kind = node["type"]
        if kind in with_strips():
            inputs = _inputs(nodes[kind], node["widgets_values"])
            method = with_strips()[kind].method(**inputs)
            timeline = assumed_timeline(method, steps)
            rules += method.fitted(timeline).rules()
        if kind in with_strips() or kind in NAMED:
            methods.append(nodes[kind].display_name)
    layers = dict.fromkeys(map(SiteKind, kinds), MANY)
    assigned = planned_sites(rules, layers)
    strips = strips_of(shares_of(assigned, plans_of(set(assigned.values()), timeline)))
    return Card(title, methods or ["plain"], strips or {"every layer": "C" * steps})


def draw(card: Card) -> Image.Image:
    """The picture: names above, a row of bars per kind of layer, what their height means below."""
    letters = Fonts(SCALE)
    canvas = Canvas(SIDE, SIDE, letters)
    room = SIDE - 2 * MARGIN
    canvas.box((0, 0, SIDE, SIDE), BACKGROUND)
    canvas.text((MARGIN, 24), letters.fitted(card.title, LARGE, room), LARGE, TITLE, bold=True)
    y = 86.0
    for line in letters.wrapped(" + ".join(card.methods), MIDDLE, room, 3):
        canvas.text((MARGIN, y), line, MIDDLE, DETAIL)
        y += MIDDLE + 8
    y, above = y + GAP, SMALL + 6
    high = min((SIDE - BELOW - y) / len(card.strips) - above - GAP, HIGHEST)
    y += (SIDE - BELOW - y - len(card.strips) * (above + high + GAP)) / 2
    for kind, strip in card.strips.items():
        canvas.text((MARGIN, y), _in_words(kind), SMALL, TITLE)
        bottom = y + above + high
        width = room / len(strip)
        for step, letter in enumerate(strip):
            share, colour = LOOKS[letter]
            left = MARGIN + width * step
            canvas.box((left, bottom - high * share, left + width - 2, bottom), colour)
        y = bottom + GAP
    words = f"{card.steps} steps: tall computes, low reuses"
    canvas.text((MARGIN, SIDE - 46), words, SMALL, DETAIL)
    return canvas.picture()


def encoded(picture: Image.Image) -> bytes:
    """The file of a picture."""
    data = io.BytesIO()
    picture.save(data, "jpeg", quality=QUALITY, optimize=True)
    return data.getvalue()


def main() -> int:
    """Write the files. Returns the exit status."""
    for name in drawn_names():
        (WORKFLOWS / f"{name}.jpg").write_bytes(encoded(draw(card_of(name))))
        print(f"wrote workflows/{name}.jpg")
    return 0


def _inputs(schema: Any, saved: list[Any]) -> dict[str, Any]:
    """The saved values by the names of the node's inputs."""
    names = [entry.id for entry in schema.inputs if entry.id != "model"]
    return dict(zip(names, saved, strict=True))


def _in_words(kind: str) -> str:
    known = {site.value: in_words(site) for site in SiteKind}
    return WORDS.get(kind) or known.get(kind, kind)


if __name__ == "__main__":
    sys.exit(main())
