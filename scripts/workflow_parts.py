"""The parts that workflows share: method, sampler, report, decoder, and two runs side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workflow_graph import Graph, Output
from workflow_methods import Method

SEED = 1
WIDE = 700
"""Pixels of a node that shows something, in the last column."""
STRIP = 130
"""Pixels that the strip of a method's node wants, with a few rows and lines."""

CONDITIONING = ("CONDITIONING", "CONDITIONING")
LATENT = ("LATENT", "LATENT")
IMAGE = ("IMAGE", "IMAGE")
COMPARISON = (("picture", "IMAGE"), ("text", "STRING"), ("psnr", "FLOAT"), ("ssim", "FLOAT"),
              ("json", "STRING"))  # fmt: skip

COMPARE_NOTE = (
    "**The same picture twice**, without and with a cache, and where the two differ.\n"
    "\n- move a slider on the Step Cache node and run again"
    "\n- keep the seeds of both samplers equal"
    "\n- put any other Step Cache node in place of this one"
)
RUNS_NOTE = (
    "**The same picture twice**, without and with a cache, where the two differ, and both times.\n"
    "\n- move a slider on the Step Cache node and run again"
    "\n- put any other Step Cache node in place of this one"
    "\n- when you have found your settings, put KSampler in place of Step Cache Compare Runs"
)
PLAIN_NOTE = (
    "The plain run: the picture that the cached ones are compared with.\n\nBetween loader and "
    "sampler there is room for one Step Cache node; open the workflow next to this one to see it."
)


@dataclass(frozen=True, slots=True)
class Custom:
    """A sampler whose steps come from a node of their own.

    Args:
        sampler: node that chooses the sampler, and its widgets.
        scheduler: node that makes the steps, and its widgets.
        looks_at: what that node wants linked, "model" or "latent".
        cfg: how strongly the prompt is followed.
    """

    sampler: tuple[str, list[Any]]
    scheduler: tuple[str, list[Any]]
    looks_at: str
    cfg: float


@dataclass(frozen=True, slots=True)
class Start:
    """What stands before the sampler: model, prompts, size; and what decodes after it.

    Args:
        settings: widgets of KSampler, but for seed and what becomes of it; or a sampler of parts.
        decode: a node, its widgets, and what it needs besides the latent.
    """

    model: Output
    prompts: tuple[Output, Output]
    latent: Output
    settings: tuple[Any, ...] | Custom
    decode: tuple[str, list[Any], dict[str, Output]]


def patch(graph: Graph, model: Output, method: Method) -> list[Output]:
    """A method's node."""
    return graph.add(
        method.kind, 2, method.title, method.widgets, {"model": model}, method.outputs,
        room=STRIP if method.has_strip else 0,
    )  # fmt: skip


def sampler(
    graph: Graph, start: Start, model: Output, seed_control: str, title: str = ""
) -> list[Output]:
    """The sampling node, and what it is made of; the latent is its first output."""
    positive, negative = start.prompts
    inputs = {"model": model, "positive": positive, "negative": negative}
    if not isinstance(start.settings, Custom):
        settings = [SEED, seed_control, *start.settings]
        inputs["latent_image"] = start.latent
        return graph.add(
            "KSampler", 3, title or "KSampler", settings, inputs, (LATENT,), height=300
        )
    custom = start.settings
    seen = {"model": model, "latent": start.latent}[custom.looks_at]
    kind, widgets = custom.sampler
    (chosen,) = graph.add(kind, 3, kind, widgets, None, (("SAMPLER", "SAMPLER"),))
    kind, widgets = custom.scheduler
    (sigmas,) = graph.add(kind, 3, kind, widgets, {custom.looks_at: seen}, (("SIGMAS", "SIGMAS"),))
    inputs |= {"sampler": chosen, "sigmas": sigmas, "latent_image": start.latent}
    return graph.add(
        "SamplerCustom", 3, title or "SamplerCustom", [True, SEED, seed_control, custom.cfg],
        inputs, (("output", "LATENT"), ("denoised_output", "LATENT")), height=300,
    )  # fmt: skip


def sample(graph: Graph, start: Start, methods: tuple[Method, ...]) -> Output:
    """From a model to a sampled latent; with methods also their nodes and notes, and a report."""
    model, shown = start.model, list[tuple[str, Output]]()
    for method in methods:
        model, *others = patch(graph, model, method)
        shown += [(method.title, other) for other in others if method.is_shown]
    for note in [method.note for method in methods] or [PLAIN_NOTE]:
        graph.note(2, note)
    sampled, *_ = sampler(graph, start, model, methods[-1].seed_control if methods else "fixed")
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


def decode(graph: Graph, start: Start, sampled: Output, title: str = "Decode") -> Output:
    """The pictures of a latent."""
    kind, widgets, others = start.decode
    (pictures,) = graph.add(kind, 4, title, widgets, {"samples": sampled, **others}, (IMAGE,))
    return pictures


def compared(graph: Graph, start: Start, method: Method) -> Graph:
    """The same picture without and with a method, side by side."""
    patched, *_ = patch(graph, start.model, method)
    graph.note(2, COMPARE_NOTE)
    drawn: list[Output] = []
    for title, model in (("plain", start.model), ("cached", patched)):
        sampled, *_ = sampler(graph, start, model, "fixed", f"KSampler, {title}")
        drawn.append(decode(graph, start, sampled, f"Decode {title}"))
    plain, cached = drawn
    graph.add(
        "StepCacheCompare", 5, "Step Cache Compare", [0],
        {"plain": plain, "cached": cached, "model": patched}, COMPARISON, height=520, width=WIDE,
    )  # fmt: skip
    return graph


def compared_runs(graph: Graph, start: Start, method: Method, vae: Output) -> Graph:
    """The same by one node, which samples twice."""
    patched, *_ = patch(graph, start.model, method)
    graph.note(2, RUNS_NOTE)
    assert not isinstance(start.settings, Custom), "this node samples as KSampler does"
    positive, negative = start.prompts
    inputs = {
        "model": patched, "positive": positive, "negative": negative, "latent_image": start.latent,
        "vae": vae,
    }  # fmt: skip
    graph.add(
        "StepCacheCompareRuns", 3, "Step Cache Compare Runs", [SEED, "fixed", *start.settings, 0],
        inputs, (*COMPARISON, ("speedup", "FLOAT"), ("plain", "LATENT"), ("cached", "LATENT")),
        height=900, width=WIDE,
    )  # fmt: skip
    return graph


def _show(graph: Graph, title: str, output: Output) -> None:
    """A picture or a text of a node, for the reader to see."""
    if output.type == "IMAGE":
        kind, name, height = "PreviewImage", "images", 780
    else:
        kind, name, height = "PreviewAny", "source", 260
    graph.add(kind, 5, f"From {title}", [], {name: output}, height=height, width=WIDE)
