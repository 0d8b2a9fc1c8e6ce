"""Schema inputs that nodes share, and the one way from inputs to a method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import comfy.samplers
from comfy_api.latest import io

from ..cache_core.errors import ConfigError, StepCacheError
from ..cache_core.host import last_report
from ..cache_core.methods import CUSTOM, Method
from ..cache_core.report import Report
from ..cache_core.schedules import PercentRange

CATEGORY = "Step Cache"

MethodT = TypeVar("MethodT", bound=Method)
FoundT = TypeVar("FoundT")


def start_percent(default: float, *, advanced: bool = False) -> io.Float.Input:
    """Where in the run reuse may begin."""
    return percent(
        "start_percent",
        default,
        "Before this point of the run every step is computed: the first steps decide the "
        "composition. 0 is the start. On the 0-1000 timestep scale of the papers this is "
        "1000 × (1 - value): 0.15 is timestep 850. Flow models count before their shift.",
        advanced=advanced,
    )


def end_percent(default: float, *, advanced: bool = False) -> io.Float.Input:
    """Where in the run reuse ends."""
    return percent(
        "end_percent",
        default,
        "After this point of the run every step is computed: the last steps draw fine detail. "
        "1 is the end. On the 0-1000 timestep scale of the papers this is "
        "1000 × (1 - value): 0.9 is timestep 100. Flow models count before their shift.",
        advanced=advanced,
    )


def percent(
    name: str,
    default: float,
    tooltip: str,
    *,
    low: float = 0.0,
    high: float = 1.0,
    **options: Any,
) -> io.Float.Input:
    """A point of the run; with further options of ComfyUI's input."""
    return io.Float.Input(
        name, default=default, min=low, max=high, step=0.01, tooltip=tooltip, **options
    )


def attention_range(kind: str, default: int, what: str) -> io.Int.Input:
    """How often one kind of attention is computed."""
    return io.Int.Input(
        kind,
        default=default,
        min=1,
        max=100,
        tooltip=(
            f"Attention {what}. Compute it every this many steps and reuse it in between: higher "
            f"is faster and less exact, 1 never reuses."
        ),
    )


def sampled(which_model: str) -> list[io.Input]:
    """A model, and its sampler's latent so that the node looks after the run."""
    return [
        io.Model.Input("model", tooltip=which_model),
        io.Latent.Input("latent", tooltip="The sampler's output; handed on unchanged."),
    ]


def preset(published: Mapping[str, Any], *, optional: bool = False) -> io.Combo.Input:
    """Published settings in place of those on the node."""
    return io.Combo.Input(
        "preset",
        options=[CUSTOM.name, *published],
        default=CUSTOM.name,
        tooltip=(
            "custom: the values on this node. Anything else: the published settings of that name; "
            "every other value on this node is then ignored, and the report shows the real ones. "
            "A preset works on models with the same kinds of layers and is refused on others."
        ),
        optional=optional,
    )


def choose(method: type[MethodT], published: Mapping[str, MethodT], preset: str) -> MethodT | None:
    """The method with published settings, or None where the node's own values count.

    Raises:
        ConfigError: there is no such preset.
    """
    if preset == CUSTOM.name:
        return None
    if preset not in published:
        known = ", ".join((CUSTOM.name, *published))
        raise ConfigError(
            f"{method.name}: there is no preset {preset!r}; expected one of: {known}. Choose one "
            f"from the list"
        )
    return published[preset]


def build(method: type[MethodT], **settings: Any) -> MethodT:
    """Make a method from a node's inputs.

    Raises:
        ConfigError: an input is out of range; the message begins with the node's name.
    """
    try:
        return method(**settings)
    except ConfigError as error:
        raise ConfigError(f"{method.name}: {error}") from error


def ask(look: Callable[[Any], FoundT], model: Any, node: str, leaving: str) -> FoundT:
    """What a model carries.

    Args:
        look: finds it, or raises LookupError.
        model: as it came in.
        node: the node that asks.
        leaving: the node that the right model leaves.

    Raises:
        StepCacheError: it carries nothing of the kind; the message begins with the node's name.
    """
    try:
        return look(model)
    except LookupError as error:
        raise StepCacheError(
            f"{node}: {error}. Connect the model that leaves {leaving}, the same that goes into "
            f"the sampler"
        ) from error


def report_of(model: Any, node: str, leaving: str) -> Report:
    """The report of a model's last run; arguments as of `ask`.

    Raises:
        StepCacheError: nothing is attached to the model, or it was not sampled.
    """
    report = ask(last_report, model, node, leaving)
    if report is None:
        raise StepCacheError(
            f"{node}: this model has not been sampled yet. Connect the latent of the sampler that "
            f"uses this very model"
        )
    return report


def window(method: type[Method], start: float, end: float, what: str = "") -> PercentRange:
    """The window between two percent inputs.

    Args:
        what: what the window is about, on nodes that have several.

    Raises:
        ConfigError: it is empty; the message begins with the node's name.
    """
    try:
        return PercentRange(start, end)
    except ConfigError as error:
        about = f" ({what})" if what else ""
        raise ConfigError(f"{method.name}{about}: {error}") from error


def conditioning() -> list[io.Input]:
    """Both prompts, for nodes that take the place of KSampler."""
    return [
        io.Conditioning.Input("positive", tooltip="As on KSampler: what the picture should show."),
        io.Conditioning.Input("negative", tooltip="As on KSampler: what it should not show."),
    ]


def sampling(seed: str, steps: str) -> list[io.Input]:
    """How it is sampled, for nodes that take the place of KSampler.

    Args:
        seed: tooltip of the seed.
        steps: tooltip of the number of steps.
    """
    chosen = "As on KSampler; take the one that you will use."
    return [
        io.Int.Input(
            "seed", default=0, min=0, max=2**64 - 1, control_after_generate=True, tooltip=seed
        ),
        io.Int.Input("steps", default=20, min=1, max=10000, tooltip=steps),
        io.Float.Input(
            "cfg", default=8.0, min=0.0, max=100.0, step=0.1, round=0.01,
            tooltip="As on KSampler: 1 leaves the negative prompt out.",
        ),
        io.Combo.Input(
            "sampler_name", options=comfy.samplers.KSampler.SAMPLERS, tooltip=chosen
        ),
        io.Combo.Input("scheduler", options=comfy.samplers.KSampler.SCHEDULERS, tooltip=chosen),
        io.Float.Input(
            "denoise", default=1.0, min=0.0, max=1.0, step=0.01,
            tooltip="As on KSampler: below 1 keeps more of the latent.",
        ),
    ]  # fmt: skip
