"""Writes workflows/*.json, so that numbers, links and places of all of them agree.

`python scripts/build_workflows.py` after a change here; a test compares the files with this script.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workflow_graph import Graph, Output

WORKFLOWS = Path(__file__).resolve().parent.parent / "workflows"
CAPTION = "a large red circle left of a small blue square on a grey ground"
PROMPT = "a lighthouse on a cliff at sunset, oil painting, detailed"
NEGATIVE = "blurry, low quality"
SEED = 1


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


STRIPS = "\n- the report shows which steps were computed (C) and reused (R)"
DEEPCACHE = Method(
    "StepCacheDeepCacheUNet",
    "DeepCache UNet",
    [3, 0, "uniform", 15, 1.4, 0.0, 1.0, "custom"],
    "**DeepCache** runs the whole UNet on every third step and only its shallow part in between.\n"
    "\n- interval 2: nearer to the plain picture; 5: faster"
    "\n- branch: higher keeps more of the network fresh" + STRIPS,
)
PAB = Method(
    "StepCacheApplyPAB",
    "Apply PAB",
    [2, 4, 6, 0.15, 0.9, 0.3, 0, 5, "custom", 1],
    "**Pyramid Attention Broadcast** reuses attention in the middle of the run: self attention "
    "every 2nd, cross attention every 6th step is computed.\n"
    "\n- 1 never reuses a kind"
    "\n- a wider window (start nearer 0, end nearer 1) is faster and less exact" + STRIPS,
)
FASTERCACHE = Method(
    "StepCacheApplyFasterCache",
    "Apply FasterCache",
    ["custom", 2, 2, 1, 0.3, 1.0, 5, 0.33, 1.0, 1.2, 1.2, 0.7],
    "**FasterCache** leaves out the empty prompt in four of five steps after the first third, and "
    "continues attention from its last two outputs on every second step.\n"
    "\n- guidance_interval 3: nearer to the plain picture"
    "\n- self_attention 1: only the guidance half of the method" + STRIPS,
)
GUIDANCE_ONLY = Method(
    "StepCacheApplyFasterCache",
    "Apply FasterCache",
    ["custom", 1, 1, 1, 0.3, 1.0, 5, 0.33, 1.0, 1.2, 1.2, 0.7],
    "**Two methods on one model:** FasterCache leaves out the empty prompt (its attention ranges "
    "are 1), PAB reuses attention.",
)
TGATE = Method(
    "StepCacheTGate",
    "TGATE Gate",
    ["custom", 18, 2, 5, 1, "uncond (as published)"],
    "**T-GATE** guides the first 18 steps. Then attention to the prompt is frozen and one branch "
    "finishes the picture.\n"
    "\n- a later gate: nearer to the plain picture; earlier (published: 10 of 25): faster"
    "\n- the gate must be below the sampler's steps" + STRIPS,
)
TGATE_BESIDE_DEEPCACHE = Method(
    "StepCacheTGate",
    "TGATE Gate",
    ["custom", 18, 0, 1, 1, "uncond (as published)"],
    "**Two methods on one model:** T-GATE ends guidance at step 18, DeepCache runs the whole UNet "
    "on every third step. The two steps at the gate are whole ones.",
)
SMOOTHCACHE = Method(
    "StepCacheSmoothCache",
    "SmoothCache Schedule",
    ["FORA: every 2nd step", 30],
    "**SmoothCache** follows a schedule of steps for each kind of layer. This one is the uniform "
    "baseline; schedules of your own go into models/smoothcache.\n"
    "\n- steps must equal the sampler's" + STRIPS,
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
    methods: tuple[Method, ...],
) -> Output:
    """From a model to a sampled latent; with methods also their nodes and notes, and a report."""
    for method in methods:
        (model,) = graph.add(
            method.kind, 2, method.title, method.widgets, {"model": model}, (MODEL,)
        )
    for note in [method.note for method in methods] or [PLAIN_NOTE]:
        graph.note(2, note)
    positive, negative = prompts
    inputs = {"model": model, "positive": positive, "negative": negative, "latent_image": latent}
    (sampled,) = graph.add("KSampler", 3, "KSampler", settings, inputs, (LATENT,), height=300)
    if methods:
        outputs = (("latent", "LATENT"), ("text", "STRING"), ("json", "STRING"))
        report_inputs = {"model": model, "latent": sampled}
        sampled, *_ = graph.add(
            "StepCacheReport", 3, "Step Cache Report", [], report_inputs, outputs, height=260
        )
    return sampled


def _shapes(model: str, *methods: Method, frames: int = 1) -> Graph:
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
    sampled = _sample(graph, loaded, (positive, negative), latent, settings, methods)
    (pictures,) = graph.add("ShapesDecode", 4, "Decode", [], {"samples": sampled}, (IMAGE,))
    graph.add("SaveImage", 4, "Save", ["stepcache"], {"images": pictures}, height=320)
    graph.add(
        "ShapesJudge", 4, "Does it show the caption?", [CAPTION], {"images": pictures},
        (("verdict", "STRING"),), height=180,
    )  # fmt: skip
    return graph


def _checkpoint(*methods: Method) -> Graph:
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
    sampled = _sample(graph, loaded, (positive, negative), latent, settings, methods)
    (pictures,) = graph.add(
        "VAEDecode", 4, "Decode", [], {"samples": sampled, "vae": vae}, (IMAGE,)
    )
    graph.add("SaveImage", 4, "Save", ["stepcache"], {"images": pictures}, height=320)
    return graph


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
        "dit_fastercache_pab": _shapes("dit", GUIDANCE_ONLY, PAB),
        "dit_clip_plain": _shapes("dit", frames=4),
        "dit_clip_pab": _shapes("dit", PAB, frames=4),
        "checkpoint_plain": _checkpoint(),
        "checkpoint_deepcache": _checkpoint(DEEPCACHE),
        "checkpoint_pab": _checkpoint(PAB),
        "checkpoint_fastercache": _checkpoint(FASTERCACHE),
        "checkpoint_tgate": _checkpoint(TGATE),
        "checkpoint_smoothcache": _checkpoint(SMOOTHCACHE),
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
