"""What a node will do, worked out from its widgets while somebody moves them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..cache_core.calibration import Calibration, Prediction
from ..cache_core.clock import Timeline
from ..cache_core.errors import ConfigError, StepCacheError
from ..cache_core.methods import Method
from ..cache_core.sites import SiteKind
from ..cache_core.strips import planned_strips
from .method_node import MethodNode

VERSION = 1
"""Of the answer; raised when a key changes its meaning or goes away."""

MOST_STEPS = 10000
MOST_LAYERS = 10000


class BadRequest(ValueError):
    """A question that no front end of ours asks."""


def preview(nodes: Mapping[str, type[MethodNode]], question: Any) -> dict[str, Any]:
    """The strips that a node's widgets mean.

    Args:
        nodes: the nodes that can be asked about, by id.
        question: node (id), inputs (values by name; what is left out has its default), steps,
            first and last (which part of a whole run they are, 0 … 1), one_branch; and where a
            run has shown them, timeline (sigmas, timesteps, percents) and layers (sites by kind).

    Returns:
        strips (letters by kind), description, prediction or None, and error (in words) or None.

    Raises:
        BadRequest: the question is not of that form.
    """
    question = _dict(question, "question")
    node = nodes.get(str(question.get("node")))
    if node is None:
        raise BadRequest(f"there is no node {question.get('node')!r} with a strip")
    inputs = _inputs(node, _dict(question.get("inputs", {}), "inputs"))
    steps = _whole(question.get("steps"), "steps", 1, MOST_STEPS)
    first = _number(question.get("first", 0.0), "first", 0.0, 1.0)
    last = _number(question.get("last", 1.0), "last", first, 1.0)
    known = _timeline(question.get("timeline"), steps)
    layers = _layers(question.get("layers"))
    has_one_branch = question.get("one_branch") is True
    try:
        method = node.method(**inputs)
    except StepCacheError as error:
        return _answer(error=str(error))
    timeline = known or assumed_timeline(method, steps, first, last)
    measured: Calibration | None = getattr(method, "calibration", None)
    if layers is None and measured is not None:
        layers = dict(measured.model.layers)
    try:
        fitted = method.fitted(timeline)
        strips = planned_strips(fitted.rules(), timeline, layers, has_one_branch)
    except StepCacheError as error:
        return _answer(error=f"{method.name}: {error}")
    return _answer(strips, fitted.describe(), fitted.prediction)


def assumed_timeline(method: Method, steps: int, first: float = 0.0, last: float = 1.0) -> Timeline:
    """A run's schedule before anything of it is known: even, or like the one calibrated with.

    Args:
        method: what acts in it.
        steps: of the run.
        first: where in a whole run it begins, 0 … 1.
        last: where it ends.
    """
    even = Timeline.even(steps, first, last)
    calibration: Calibration | None = getattr(method, "calibration", None)
    if calibration is None:
        return even
    measured = calibration.timeline.sigmas
    points = np.linspace(first, last, steps + 1)
    sigmas = np.interp(points, np.linspace(0.0, 1.0, len(measured)), measured)
    return replace(even, sigmas=tuple(map(float, sigmas)))


def _answer(
    strips: Mapping[str, str] | None = None,
    description: str = "",
    prediction: Prediction | None = None,
    error: str | None = None,
) -> dict[str, Any]:
    return {
        "version": VERSION,
        "strips": dict(strips or {}),
        "description": description,
        "prediction": prediction.to_dict() if prediction is not None else None,
        "error": error,
    }


def _inputs(node: type[MethodNode], given: Mapping[str, Any]) -> dict[str, Any]:
    """Values for every input but the model, checked as the host would."""
    found: dict[str, Any] = {}
    for item in node.define_schema().inputs:
        if item.id == "model":
            continue
        value = given.get(item.id)
        options = item.as_dict()
        if value is None:
            value = options.get("default", next(iter(options.get("options") or ()), None))
        found[item.id] = _checked(item.id, item.get_io_type(), value, options)
    return found


def _checked(name: str, kind: str, value: Any, options: Mapping[str, Any]) -> Any:
    low, high = options.get("min", -math.inf), options.get("max", math.inf)
    if kind == "INT":
        return _whole(value, name, low, high)
    if kind == "FLOAT":
        return _number(value, name, low, high)
    if kind == "COMBO" and isinstance(value, str):
        return value
    raise BadRequest(f"{name} is {value!r}, which is no {kind.lower()}")


def _timeline(given: Any, steps: int) -> Timeline | None:
    """The schedule of the last run, if it was one of so many steps."""
    if given is None:
        return None
    given = _dict(given, "timeline")
    lists = [_list(given.get(key), key) for key in ("sigmas", "timesteps", "percents")]
    sigmas = tuple(_number(each, "sigmas") for each in lists[0])
    timesteps = tuple(None if t is None else _number(t, "timesteps") for t in lists[1])
    percents = tuple(_number(each, "percents") for each in lists[2])
    try:
        timeline = Timeline(sigmas, timesteps, percents)
    except ConfigError as error:
        raise BadRequest(str(error)) from error
    return timeline if timeline.steps == steps else None


def _layers(given: Any) -> dict[SiteKind, int] | None:
    if given is None:
        return None
    layers = _dict(given, "layers")
    known = {kind.value: kind for kind in SiteKind}
    return {
        known[name]: _whole(count, name, 0, MOST_LAYERS)
        for name, count in layers.items()
        if name in known
    }


def _dict(value: Any, name: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise BadRequest(f"{name} is a {type(value).__name__}; expected an object")


def _list(value: Any, name: str) -> list[Any]:
    if isinstance(value, list) and len(value) <= MOST_STEPS + 1:
        return value
    raise BadRequest(f"{name} is no list of at most {MOST_STEPS + 1} numbers")


def _number(value: Any, name: str, low: float = -math.inf, high: float = math.inf) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and math.isfinite(value) and low <= value <= high:
        return float(value)
    raise BadRequest(f"{name} is {value!r}; expected a number from {low} to {high}")


def _whole(value: Any, name: str, low: float, high: float) -> int:
    number = _number(value, name, low, high)
    if number.is_integer():
        return int(number)
    raise BadRequest(f"{name} is {value!r}; expected a whole number")
