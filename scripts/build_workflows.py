"""Writes workflows/*.json, so that numbers, links and places of all of them agree.

`python scripts/build_workflows.py` after a change here; a test compares the files with this script.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WORKFLOWS = Path(__file__).resolve().parent.parent / "workflows"
WIDTH, GAP = 320, 60
CAPTION = "a large red circle left of a small blue square on a grey ground"
PROMPT = "a lighthouse on a cliff at sunset, oil painting, detailed"
NEGATIVE = "blurry, low quality"
SEED = 1


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a node in a graph."""

    node: int
    slot: int
    type: str


@dataclass(slots=True)
class Graph:
    """A workflow under construction; nodes are stacked in columns, from the left."""

    nodes: list[dict[str, Any]] = field(default_factory=list)
    links: list[list[Any]] = field(default_factory=list)
    heights: dict[int, int] = field(default_factory=dict)

    def add(
        self,
        kind: str,
        column: int,
        title: str,
        widgets: list[Any] | None = None,
        inputs: dict[str, Output] | None = None,
        outputs: tuple[tuple[str, str], ...] = (),
        height: int = 0,
    ) -> list[Output]:
        """Add a node.

        Args:
            kind: its class in ComfyUI.
            column: where it stands, from 0.
            title: what stands above it.
            widgets: values of its widgets, in the order of the node's inputs.
            inputs: what is linked to its sockets.
            outputs: name and type of each of its outputs.
            height: height in pixels; by default what its sockets and widgets need.

        Returns:
            Its outputs.
        """
        number = len(self.nodes) + 1
        widgets, inputs = widgets or [], inputs or {}
        height = height or 40 + 24 * (max(len(inputs), len(outputs)) + len(widgets))
        top = self.heights.get(column, 0)
        self.heights[column] = top + height + GAP
        sockets = [
            {"name": name, "type": source.type, "link": self._link(source, number, slot)}
            for slot, (name, source) in enumerate(inputs.items())
        ]
        self.nodes.append(
            {
                "id": number,
                "type": kind,
                "pos": [column * (WIDTH + GAP), top],
                "size": [WIDTH, height],
                "flags": {},
                "order": number - 1,
                "mode": 0,
                "inputs": sockets,
                "outputs": [{"name": n, "type": t, "links": []} for n, t in outputs],
                "title": title,
                "properties": {"Node name for S&R": kind},
                "widgets_values": widgets,
            }
        )
        return [Output(number, slot, type) for slot, (_, type) in enumerate(outputs)]

    def note(self, column: int, text: str) -> None:
        """Add a note for the reader."""
        self.add("MarkdownNote", column, "Try this", [text], height=220)

    def to_json(self) -> str:
        """The workflow as the front end saves it."""
        workflow = {
            "last_node_id": len(self.nodes),
            "last_link_id": len(self.links),
            "nodes": self.nodes,
            "links": self.links,
            "groups": [],
            "config": {},
            "extra": {},
            "version": 0.4,
        }
        return json.dumps(workflow, indent=1) + "\n"

    def _link(self, source: Output, target: int, slot: int) -> int:
        number = len(self.links) + 1
        self.links.append([number, source.node, source.slot, target, slot, source.type])
        self.nodes[source.node - 1]["outputs"][source.slot]["links"].append(number)
        return number


MODEL = ("MODEL", "MODEL")
CONDITIONING = ("CONDITIONING", "CONDITIONING")
LATENT = ("LATENT", "LATENT")
IMAGE = ("IMAGE", "IMAGE")


@dataclass(frozen=True, slots=True)
class Method:
    """A method's node, its widgets, and what to try with it."""

    kind: str
    title: str
    widgets: list[Any]
    note: str


DEEPCACHE = Method(
    "StepCacheDeepCacheUNet",
    "DeepCache UNet",
    [3, 0, "uniform", 15, 1.4, 0.0, 1.0],
    "**DeepCache** runs the whole UNet on every third step and only its shallow part in between.\n"
    "\n- interval 2: nearer to the plain picture; 5: faster"
    "\n- branch: higher keeps more of the network fresh"
    "\n- the report shows which steps were computed (C) and reused (R)",
)
PAB = Method(
    "StepCacheApplyPAB",
    "Apply PAB",
    [2, 4, 6, 0.15, 0.9],
    "**Pyramid Attention Broadcast** reuses attention in the middle of the run: self attention "
    "every 2nd, cross attention every 6th step is computed.\n"
    "\n- 1 never reuses a kind"
    "\n- a wider window (start nearer 0, end nearer 1) is faster and less exact"
    "\n- the report shows which steps were computed (C) and reused (R)",
)
PLAIN_NOTE = (
    "The plain run: the picture that the cached ones are compared with.\n\nBetween loader and "
    "sampler there is room for one Step Cache node; open the workflow next to this one to see it."
)


def _sample(
    graph: Graph,
    model: Output,
    prompts: tuple[Output, Output],
    latent: Output,
    settings: list[Any],
    method: Method | None,
) -> Output:
    """From a model to a sampled latent; with a method also its node, a report, and its note."""
    if method is not None:
        (model,) = graph.add(
            method.kind, 2, method.title, method.widgets, {"model": model}, (MODEL,)
        )
    graph.note(2, method.note if method else PLAIN_NOTE)
    positive, negative = prompts
    inputs = {"model": model, "positive": positive, "negative": negative, "latent_image": latent}
    (sampled,) = graph.add("KSampler", 3, "KSampler", settings, inputs, (LATENT,), height=300)
    if method is not None:
        outputs = (("latent", "LATENT"), ("text", "STRING"), ("json", "STRING"))
        report_inputs = {"model": model, "latent": sampled}
        sampled, *_ = graph.add(
            "StepCacheReport", 3, "Step Cache Report", [], report_inputs, outputs, height=260
        )
    return sampled


def _shapes(model: str, method: Method | None, frames: int = 1) -> Graph:
    """A workflow for one of the demo's models; needs the demo's nodes."""
    graph = Graph()
    if model == "unet":
        (loaded,) = graph.add(
            "ShapesUNetLoader", 0, "Load the demo's UNet", ["shapes_unet.safetensors"], None,
            (MODEL,),
        )  # fmt: skip
        guidance, empty, size = 2.5, "EmptyLatentImage", [256, 256, 1]
    else:
        (unshifted,) = graph.add(
            "UNETLoader", 0, "Load the demo's DiT", ["shapes_dit.safetensors", "default"], None,
            (MODEL,),
        )  # fmt: skip
        (loaded,) = graph.add("ModelSamplingSD3", 0, "Shift", [3.0], {"model": unshifted}, (MODEL,))
        # A stored frame stands for four frames of a video, the first for one.
        guidance, empty = 2.0, "EmptyHunyuanLatentVideo"
        size = [128, 128, 4 * (frames - 1) + 1, 1]
    (latent,) = graph.add(empty, 0, "Size", size, None, (LATENT,))
    (positive,) = graph.add(
        "ShapesCaption", 1, "Caption", [CAPTION], None, (CONDITIONING,), height=140
    )
    (negative,) = graph.add(
        "ShapesCaption", 1, "Empty caption", [""], None, (CONDITIONING,), height=140
    )
    settings = [SEED, "fixed", 30, guidance, "euler", "simple", 1.0]
    sampled = _sample(graph, loaded, (positive, negative), latent, settings, method)
    (pictures,) = graph.add("ShapesDecode", 4, "Decode", [], {"samples": sampled}, (IMAGE,))
    graph.add("SaveImage", 4, "Save", ["stepcache"], {"images": pictures}, height=320)
    graph.add(
        "ShapesJudge", 4, "Does it show the caption?", [CAPTION], {"images": pictures},
        (("verdict", "STRING"),), height=180,
    )  # fmt: skip
    return graph


def _checkpoint(method: Method | None) -> Graph:
    """A workflow for a whole checkpoint of the reader's own; stock nodes and one of the pack's."""
    graph = Graph()
    loaded, clip, vae = graph.add(
        "CheckpointLoaderSimple", 0, "Load your checkpoint", ["choose-a-checkpoint.safetensors"],
        None, (MODEL, ("CLIP", "CLIP"), ("VAE", "VAE")),
    )  # fmt: skip
    (latent,) = graph.add("EmptyLatentImage", 0, "Size", [512, 512, 1], None, (LATENT,))
    (positive,) = graph.add(
        "CLIPTextEncode", 1, "Prompt", [PROMPT], {"clip": clip}, (CONDITIONING,), height=160
    )
    (negative,) = graph.add(
        "CLIPTextEncode", 1, "Negative prompt", [NEGATIVE], {"clip": clip}, (CONDITIONING,),
        height=160,
    )  # fmt: skip
    settings = [SEED, "fixed", 30, 7.0, "euler", "normal", 1.0]
    sampled = _sample(graph, loaded, (positive, negative), latent, settings, method)
    (pictures,) = graph.add(
        "VAEDecode", 4, "Decode", [], {"samples": sampled, "vae": vae}, (IMAGE,)
    )
    graph.add("SaveImage", 4, "Save", ["stepcache"], {"images": pictures}, height=320)
    return graph


def build() -> dict[str, str]:
    """Every workflow: file name without ending -> its text."""
    graphs = {
        "unet_plain": _shapes("unet", None),
        "unet_deepcache": _shapes("unet", DEEPCACHE),
        "dit_plain": _shapes("dit", None),
        "dit_pab": _shapes("dit", PAB),
        "dit_clip_plain": _shapes("dit", None, frames=4),
        "dit_clip_pab": _shapes("dit", PAB, frames=4),
        "checkpoint_plain": _checkpoint(None),
        "checkpoint_deepcache": _checkpoint(DEEPCACHE),
        "checkpoint_pab": _checkpoint(PAB),
    }
    return {name: graph.to_json() for name, graph in graphs.items()}


def main() -> int:
    """Write the files. Returns the exit status."""
    WORKFLOWS.mkdir(exist_ok=True)
    for name, text in build().items():
        (WORKFLOWS / f"{name}.json").write_text(text, encoding="utf-8", newline="\n")
        print(f"wrote workflows/{name}.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
