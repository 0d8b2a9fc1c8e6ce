"""Writes workflows/*.json, so that numbers, links and places of all of them agree.

`python scripts/build_workflows.py` after a change here or in workflow_methods.py; a test
compares the files with this script.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workflow_graph import Graph, Output
from workflow_methods import (
    ADVISOR,
    ADVISOR_OF_YOURS,
    CALIBRATE,
    CALIBRATE_YOURS,
    CALIBRATED,
    DEEPCACHE,
    FASTERCACHE,
    GUIDANCE_ONLY,
    MODEL,
    PAB,
    SMOOTHCACHE,
    TGATE,
    TGATE_BESIDE_DEEPCACHE,
    Method,
)

WORKFLOWS = Path(__file__).resolve().parent.parent / "workflows"
CAPTION = "a large red circle left of a small blue square on a grey ground"
PROMPT = "a lighthouse on a cliff at sunset, oil painting, detailed"
NEGATIVE = "blurry, low quality"
SEED = 1
WIDE = 700
"""Pixels of a node that shows something, in the last column."""


CONDITIONING = ("CONDITIONING", "CONDITIONING")
LATENT = ("LATENT", "LATENT")
STRIP = 130
"""Pixels that the strip of a method's node wants, with a few rows and lines."""
IMAGE = ("IMAGE", "IMAGE")

COMPARE_NOTE = (
    "**The same picture twice**, without and with a cache, and where the two differ.\n"
    "\n- move a slider on the Step Cache node and run again"
    "\n- keep the seeds of both samplers equal"
    "\n- put any other Step Cache node in place of this one"
)
PLAIN_NOTE = (
    "The plain run: the picture that the cached ones are compared with.\n\nBetween loader and "
    "sampler there is room for one Step Cache node; open the workflow next to this one to see it."
)


@dataclass(frozen=True, slots=True)
class Start:
    """What stands before the sampler: model, prompts, size; and what decodes after it.

    Args:
        settings: widgets of the sampler, but for seed and what becomes of it.
        decode: a node, and what it needs besides the latent.
    """

    model: Output
    prompts: tuple[Output, Output]
    latent: Output
    settings: tuple[Any, ...]
    decode: tuple[str, dict[str, Output]]


def _patch(graph: Graph, model: Output, method: Method) -> list[Output]:
    """A method's node."""
    return graph.add(
        method.kind, 2, method.title, method.widgets, {"model": model}, method.outputs,
        room=STRIP if method.has_strip else 0,
    )  # fmt: skip


def _sampler(
    graph: Graph, start: Start, model: Output, seed_control: str, title: str = "KSampler"
) -> list[Output]:
    positive, negative = start.prompts
    inputs = {
        "model": model, "positive": positive, "negative": negative, "latent_image": start.latent,
    }  # fmt: skip
    settings = [SEED, seed_control, *start.settings]
    return graph.add("KSampler", 3, title, settings, inputs, (LATENT,), height=300)


def _sample(graph: Graph, start: Start, methods: tuple[Method, ...]) -> Output:
    """From a model to a sampled latent; with methods also their nodes and notes, and a report."""
    model, shown = start.model, list[tuple[str, Output]]()
    for method in methods:
        model, *others = _patch(graph, model, method)
        shown += [(method.title, other) for other in others if method.is_shown]
    for note in [method.note for method in methods] or [PLAIN_NOTE]:
        graph.note(2, note)
    (sampled,) = _sampler(graph, start, model, _seed_control(methods))
    if methods:
        reader = methods[-1].reader
        sampled, *others = graph.add(
            reader.kind, 3, reader.title, [], {"model": model, "latent": sampled}, reader.outputs,
            height=260,
        )  # fmt: skip
        if methods[-1].is_shown:
            names = [name for name, _ in reader.outputs[1:]]
            shown += [(reader.title, o) for n, o in zip(names, others, strict=True) if n != "json"]
    for title, output in shown:
        _show(graph, title, output)
    return sampled


def _show(graph: Graph, title: str, output: Output) -> None:
    """A picture or a text of a node, for the reader to see."""
    if output.type == "IMAGE":
        kind, name, height = "PreviewImage", "images", 780
    else:
        kind, name, height = "PreviewAny", "source", 260
    graph.add(kind, 5, f"From {title}", [], {name: output}, height=height, width=WIDE)


def _seed_control(methods: tuple[Method, ...]) -> str:
    return methods[-1].seed_control if methods else "fixed"


def _start_shapes(graph: Graph, model: str, frames: int = 1) -> Start:
    """One of the demo's models; needs the demo's nodes."""
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
    settings = (30, guidance, "euler", "simple", 1.0)
    return Start(loaded, (positive, negative), latent, settings, ("ShapesDecode", {}))


def _start_checkpoint(graph: Graph) -> Start:
    """A whole checkpoint of the reader's own; stock nodes only."""
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
    settings = (30, 7.0, "euler", "normal", 1.0)
    return Start(loaded, (positive, negative), latent, settings, ("VAEDecode", {"vae": vae}))


def _decode(graph: Graph, start: Start, sampled: Output, title: str = "Decode") -> Output:
    kind, others = start.decode
    (pictures,) = graph.add(kind, 4, title, [], {"samples": sampled, **others}, (IMAGE,))
    return pictures


def _shapes(model: str, *methods: Method, frames: int = 1) -> Graph:
    """A workflow for one of the demo's models."""
    graph = Graph()
    start = _start_shapes(graph, model, frames)
    pictures = _decode(graph, start, _sample(graph, start, methods))
    graph.add("SaveImage", 4, "Save", ["stepcache"], {"images": pictures}, height=320)
    graph.add(
        "ShapesJudge", 4, "Does it show the caption?", [CAPTION], {"images": pictures},
        (("verdict", "STRING"),), height=180,
    )  # fmt: skip
    return graph


def _checkpoint(*methods: Method) -> Graph:
    """A workflow for a checkpoint of the reader's own; stock nodes and one of the pack's."""
    graph = Graph()
    start = _start_checkpoint(graph)
    pictures = _decode(graph, start, _sample(graph, start, methods))
    graph.add("SaveImage", 4, "Save", ["stepcache"], {"images": pictures}, height=320)
    return graph


def _compared(graph: Graph, start: Start, method: Method) -> Graph:
    """The same picture without and with a method, side by side."""
    patched, *_ = _patch(graph, start.model, method)
    graph.note(2, COMPARE_NOTE)
    drawn: list[Output] = []
    for title, model in (("plain", start.model), ("cached", patched)):
        (sampled,) = _sampler(graph, start, model, "fixed", f"KSampler, {title}")
        drawn.append(_decode(graph, start, sampled, f"Decode {title}"))
    plain, cached = drawn
    graph.add(
        "StepCacheCompare", 5, "Step Cache Compare", [0],
        {"plain": plain, "cached": cached, "model": patched},
        (("picture", "IMAGE"), ("text", "STRING"), ("psnr", "FLOAT"), ("ssim", "FLOAT"),
         ("json", "STRING")),
        height=520, width=WIDE,
    )  # fmt: skip
    return graph


def _compare_shapes(method: Method) -> Graph:
    graph = Graph()
    return _compared(graph, _start_shapes(graph, "dit"), method)


def _compare_checkpoint(method: Method) -> Graph:
    graph = Graph()
    return _compared(graph, _start_checkpoint(graph), method)


def build() -> dict[str, str]:
    """Every workflow: file name without ending -> its text."""
    graphs = {
        "unet_plain": _shapes("unet"),
        "unet_deepcache": _shapes("unet", DEEPCACHE),
        "unet_fastercache": _shapes("unet", FASTERCACHE),
        "unet_tgate": _shapes("unet", TGATE),
        "unet_tgate_deepcache": _shapes("unet", TGATE_BESIDE_DEEPCACHE, DEEPCACHE),
        "dit_plain": _shapes("dit"),
        "dit_pab": _shapes("dit", PAB),
        "dit_fastercache": _shapes("dit", FASTERCACHE),
        "dit_tgate": _shapes("dit", TGATE),
        "dit_smoothcache": _shapes("dit", SMOOTHCACHE),
        "dit_calibrate": _shapes("dit", CALIBRATE),
        "dit_calibrated": _shapes("dit", CALIBRATED),
        "dit_advisor": _shapes("dit", ADVISOR),
        "dit_fastercache_pab": _shapes("dit", GUIDANCE_ONLY, PAB),
        "dit_clip_plain": _shapes("dit", frames=4),
        "dit_clip_pab": _shapes("dit", PAB, frames=4),
        "compare_dit": _compare_shapes(PAB),
        "compare_checkpoint": _compare_checkpoint(PAB),
        "checkpoint_plain": _checkpoint(),
        "checkpoint_deepcache": _checkpoint(DEEPCACHE),
        "checkpoint_pab": _checkpoint(PAB),
        "checkpoint_fastercache": _checkpoint(FASTERCACHE),
        "checkpoint_tgate": _checkpoint(TGATE),
        "checkpoint_smoothcache": _checkpoint(SMOOTHCACHE),
        "checkpoint_calibrate": _checkpoint(CALIBRATE_YOURS),
        "checkpoint_advisor": _checkpoint(ADVISOR_OF_YOURS),
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
