"""Writes workflows/*.json, so that numbers, links and places of all of them agree.

`python scripts/build_workflows.py` after a change in one of the workflow_*.py; a test compares the
files with this script. `scripts/workflow_thumbnails.py` draws their pictures.
"""

from __future__ import annotations

import sys
from pathlib import Path

from workflow_checkpoints import graph_of
from workflow_graph import Graph
from workflow_methods import (
    ADVISOR,
    CALIBRATE,
    CALIBRATED,
    DEEPCACHE,
    FASTERCACHE,
    GUIDANCE_ONLY,
    MODEL,
    OF_CHECKPOINTS,
    PAB,
    SMOOTHCACHE,
    STEP_CACHE,
    TGATE,
    TGATE_BESIDE_DEEPCACHE,
    Method,
)
from workflow_parts import CONDITIONING, LATENT, Start, compared, compared_runs, decode, sample
from workflow_picture_models import PICTURE_MODELS
from workflow_recipes import RECIPES
from workflow_video_models import VIDEO_MODELS

WORKFLOWS = Path(__file__).resolve().parent.parent / "workflows"
CAPTION = "a large red circle left of a small blue square on a grey ground"
PUBLISHED = PICTURE_MODELS | VIDEO_MODELS | RECIPES
PROMPT = "a lighthouse on a cliff at sunset, oil painting, detailed"
NEGATIVE = "blurry, low quality"


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
    return Start(loaded, (positive, negative), latent, settings, ("ShapesDecode", [], {}))


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
    return Start(loaded, (positive, negative), latent, settings, ("VAEDecode", [], {"vae": vae}))


def _shapes(model: str, *methods: Method, frames: int = 1) -> Graph:
    """A workflow for one of the demo's models."""
    graph = Graph()
    start = _start_shapes(graph, model, frames)
    pictures = decode(graph, start, sample(graph, start, methods))
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
    pictures = decode(graph, start, sample(graph, start, methods))
    graph.add("SaveImage", 4, "Save", ["stepcache"], {"images": pictures}, height=320)
    return graph


def _compare_shapes(method: Method) -> Graph:
    graph = Graph()
    return compared(graph, _start_shapes(graph, "dit"), method)


def _compare_checkpoint(method: Method) -> Graph:
    graph = Graph()
    start = _start_checkpoint(graph)
    return compared_runs(graph, start, method, start.decode[-1]["vae"])


def build() -> dict[str, str]:
    """Every workflow: file name without ending -> its text."""
    graphs = {
        "unet_plain": _shapes("unet"),
        "unet_stepcache": _shapes("unet", STEP_CACHE),
        "unet_deepcache": _shapes("unet", DEEPCACHE),
        "unet_fastercache": _shapes("unet", FASTERCACHE),
        "unet_tgate": _shapes("unet", TGATE),
        "unet_tgate_deepcache": _shapes("unet", TGATE_BESIDE_DEEPCACHE, DEEPCACHE),
        "dit_plain": _shapes("dit"),
        "dit_stepcache": _shapes("dit", STEP_CACHE),
        "dit_pab": _shapes("dit", PAB),
        "dit_fastercache": _shapes("dit", FASTERCACHE),
        "dit_tgate": _shapes("dit", TGATE),
        "dit_smoothcache": _shapes("dit", SMOOTHCACHE),
        "dit_calibrate": _shapes("dit", CALIBRATE),
        "dit_calibrated": _shapes("dit", CALIBRATED),
        "dit_advisor": _shapes("dit", ADVISOR),
        "dit_fastercache_pab": _shapes("dit", GUIDANCE_ONLY, PAB),
        "dit_clip_plain": _shapes("dit", frames=4),
        "dit_clip_stepcache": _shapes("dit", STEP_CACHE, frames=4),
        "dit_clip_pab": _shapes("dit", PAB, frames=4),
        "compare_dit": _compare_shapes(PAB),
        "compare_checkpoint": _compare_checkpoint(PAB),
        "checkpoint_plain": _checkpoint(),
        **{f"checkpoint_{name}": _checkpoint(method) for name, method in OF_CHECKPOINTS.items()},
        **{name: graph_of(model) for name, model in PUBLISHED.items()},
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
