"""Schema inputs that nodes share, and the one way from inputs to a method."""

from __future__ import annotations

from typing import Any, TypeVar

from comfy_api.latest import io

from ..cache_core.errors import ConfigError
from ..cache_core.methods import Method
from ..cache_core.schedules import PercentRange

CATEGORY = "Step Cache"

MethodT = TypeVar("MethodT", bound=Method)


def start_percent(default: float) -> io.Float.Input:
    """Where in the run reuse may begin."""
    return io.Float.Input(
        "start_percent",
        default=default,
        min=0.0,
        max=1.0,
        step=0.01,
        tooltip=(
            "Before this point of the run every step is computed: the first steps decide the "
            "composition. 0 is the start. On the 0-1000 timestep scale of the papers this is "
            "1000 × (1 - value): 0.15 is timestep 850. Flow models count before their shift."
        ),
    )


def end_percent(default: float) -> io.Float.Input:
    """Where in the run reuse ends."""
    return io.Float.Input(
        "end_percent",
        default=default,
        min=0.0,
        max=1.0,
        step=0.01,
        tooltip=(
            "After this point of the run every step is computed: the last steps draw fine detail. "
            "1 is the end. On the 0-1000 timestep scale of the papers this is "
            "1000 × (1 - value): 0.9 is timestep 100. Flow models count before their shift."
        ),
    )


def build(method: type[MethodT], **settings: Any) -> MethodT:
    """Make a method from a node's inputs.

    Raises:
        ConfigError: an input is out of range; the message begins with the node's name.
    """
    try:
        return method(**settings)
    except ConfigError as error:
        raise ConfigError(f"{method.name}: {error}") from error


def window(method: type[Method], start: float, end: float) -> PercentRange:
    """The window between two percent inputs.

    Raises:
        ConfigError: it is empty; the message begins with the node's name.
    """
    try:
        return PercentRange(start, end)
    except ConfigError as error:
        raise ConfigError(f"{method.name}: {error}") from error
