"""The workflow of a published model: its stock graph, and the methods that serve it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workflow_graph import File, Graph, Output
from workflow_methods import MODEL, Method
from workflow_parts import CONDITIONING, LATENT, Custom, Start, decode, sample

CLIP, VAE, VIDEO = ("CLIP", "CLIP"), ("VAE", "VAE"), ("VIDEO", "VIDEO")
NOT_MEASURED = (
    "\n\nSpeed, quality and memory on these weights were not measured by us; what it keeps is "
    "estimated from the sizes of the layers. For the plain run to compare with, bypass the Step "
    "Cache nodes, the report too."
)
"""The end of every note about a method."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A published model, and how people run it.

    Args:
        title: its name.
        files: its weights, each once; those of one folder in the order of the loader's inputs.
        methods: nodes between loader and sampler, in this order.
        kinds: kinds of layers that it has and the methods are about, as reports name them.
        size: node of the empty latent, and its widgets.
        settings: widgets of KSampler but for the seed, or a sampler of parts.
        prompt: what is shown.
        negative: what is not; without effect if there is `guidance`.
        text: what CLIPLoader calls the model; "" where the checkpoint holds the text encoder.
        shift: node that shifts the noise levels, and by how much.
        guidance: of a distilled model, which is told it instead of asked twice.
        frame_rate: that the model is told, in frames per second.
        tiles: widgets of the tiled decoder; () decodes whole pictures.
        fps: of the saved video; None saves pictures.
        advice: what else to know about the files.
    """

    title: str
    files: tuple[File, ...]
    methods: tuple[Method, ...]
    kinds: tuple[str, ...]
    size: tuple[str, list[int]]
    settings: tuple[Any, ...] | Custom
    prompt: str
    negative: str = ""
    text: str = ""
    shift: tuple[str, float] | None = None
    guidance: float | None = None
    frame_rate: float | None = None
    tiles: tuple[int, ...] = ()
    fps: float | None = None
    advice: str = ""


def graph_of(checkpoint: Checkpoint) -> Graph:
    """The workflow of a model."""
    graph = Graph()
    graph.note(0, _beginning(checkpoint), "Start here")
    start = _start(graph, checkpoint)
    pictures = decode(graph, start, sample(graph, start, checkpoint.methods))
    if checkpoint.fps is None:
        graph.add("SaveImage", 4, "Save", ["stepcache"], {"images": pictures}, height=320)
        return graph
    (video,) = graph.add(
        "CreateVideo", 4, "Video", [checkpoint.fps, 8], {"images": pictures}, (VIDEO,)
    )
    graph.add(
        "SaveVideo", 4, "Save", ["video/stepcache", "auto", "auto"], {"video": video}, (VIDEO,),
        height=320,
    )  # fmt: skip
    return graph


def _beginning(checkpoint: Checkpoint) -> str:
    """Which files go where, and what to do then."""
    lines = [f"**{checkpoint.title}** needs these files, in these folders of ComfyUI:", ""]
    lines += [f"- [{file.name}]({file.page}) in models/{file.folder}" for file in checkpoint.files]
    lines += [
        "",
        "Others of the same kind do as well: press R and choose them in the loaders. Then run; "
        "the report behind the sampler says what was saved.",
    ]
    return "\n".join([*lines, *(["", checkpoint.advice] if checkpoint.advice else [])])


def _start(graph: Graph, checkpoint: Checkpoint) -> Start:
    found = _loaded(graph, checkpoint)
    model, clip, vae = found["MODEL"], found["CLIP"], found["VAE"]
    if checkpoint.shift is not None:
        kind, value = checkpoint.shift
        (model,) = graph.add(kind, 0, "Shift", [value], {"model": model}, (MODEL,))
    kind, size = checkpoint.size
    (latent,) = graph.add(kind, 0, "Size", size, None, (LATENT,))
    positive = _prompt(graph, "Prompt", checkpoint.prompt, clip)
    if checkpoint.guidance is not None:
        (negative,) = graph.add(
            "ConditioningZeroOut", 1, "No negative prompt", [], {"conditioning": positive},
            (CONDITIONING,),
        )  # fmt: skip
        (positive,) = graph.add(
            "FluxGuidance", 1, "Guidance", [checkpoint.guidance], {"conditioning": positive},
            (CONDITIONING,),
        )  # fmt: skip
    else:
        negative = _prompt(graph, "Negative prompt", checkpoint.negative, clip)
    if checkpoint.frame_rate is not None:
        positive, negative = graph.add(
            "LTXVConditioning", 1, "Frames per second", [checkpoint.frame_rate],
            {"positive": positive, "negative": negative},
            (("positive", "CONDITIONING"), ("negative", "CONDITIONING")),
        )  # fmt: skip
    decoder = "VAEDecodeTiled" if checkpoint.tiles else "VAEDecode"
    return Start(
        model, (positive, negative), latent, checkpoint.settings,
        (decoder, list(checkpoint.tiles), {"vae": vae}),
    )  # fmt: skip


def _prompt(graph: Graph, title: str, text: str, clip: Output) -> Output:
    (encoded,) = graph.add(
        "CLIPTextEncode", 1, title, [text], {"clip": clip}, (CONDITIONING,), height=180
    )
    return encoded


def _loaded(graph: Graph, checkpoint: Checkpoint) -> dict[str, Output]:
    """MODEL, CLIP and VAE, out of one file or several."""
    found: dict[str, Output] = {}

    def load(
        kind: str, title: str, files: list[File], *more: str, outputs: tuple[tuple[str, str], ...]
    ) -> None:
        if files:
            widgets = [*(file.name for file in files), *more]
            made = graph.add(kind, 0, title, widgets, None, outputs, files=files)
            found.update((output.type, output) for output in made)

    def of(folder: str) -> list[File]:
        return [file for file in checkpoint.files if file.folder == folder]

    texts = of("text_encoders")
    encoder = "DualCLIPLoader" if len(texts) == 2 else "CLIPLoader"
    load("CheckpointLoaderSimple", "Load checkpoint", of("checkpoints"), outputs=(MODEL, CLIP, VAE))
    load("UNETLoader", "Load model", of("diffusion_models"), "default", outputs=(MODEL,))
    load(encoder, "Load text encoder", texts, checkpoint.text, "default", outputs=(CLIP,))
    load("VAELoader", "Load VAE", of("vae"), outputs=(VAE,))
    return found
