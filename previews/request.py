"""A question about a node's strip, as a page asks it. Pages are strangers: nothing is believed."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from comfy_api.latest import io

from ..cache_core.clock import Timeline
from ..cache_core.effort import spend
from ..cache_core.errors import ConfigError
from ..cache_core.estimate import Observation, Seen
from ..cache_core.methods import Method
from ..cache_core.sites import MAX_LAYERS, Part, SiteKind, part_named

MAX_STEPS = 10000
MAX_PARTS = 64
"""Kinds of sites, and deep branches, of which each counts."""
MAX_SECONDS = 1e6
MAX_BYTES = 1e15
MAX_NAMES = 16
MAX_LETTERS = 4096
MAX_SHOWN = 60
MAX_HALF_LOG_SNR = 100.0
LARGEST = sys.float_info.max
A_QUESTION = 200
"""What any question takes, as `spend` counts: its node's inputs are looked up."""


class BadRequest(ValueError):
    """A question that no front end of ours asks."""


class PreviewedNode(Protocol):
    """A node that can be asked what it will do."""

    @classmethod
    def define_schema(cls) -> Any:
        """Its inputs, as the host wants them."""
        ...

    @classmethod
    def previewed(cls, cache: Any, *args: Any, **inputs: Any) -> Method:
        """The method that its inputs, without the model, mean."""
        ...


@dataclass(frozen=True, slots=True)
class PreviewRequest:
    """What will a node do?

    Args:
        node: which kind of node.
        inputs: values of all its inputs but the model.
        steps: of the run.
        first: where in a whole run it begins, 0 … 1.
        last: where it ends.
        has_one_branch: whether the sampler leaves the unconditional branch out.
        timeline: the schedule that a run of so many steps has shown; None where none has.
        layers: sites by kind, as a run has shown them.
        observed: what steps of that run cost.
        files: names of model files, for each loader that the model may come from.
    """

    node: type[PreviewedNode]
    inputs: Mapping[str, Any]
    steps: int
    first: float
    last: float
    has_one_branch: bool
    timeline: Timeline | None
    layers: Mapping[SiteKind, int] | None
    observed: Observation | None
    files: tuple[tuple[str, ...], ...]

    @classmethod
    def read(cls, nodes: Mapping[str, type[PreviewedNode]], given: Any) -> PreviewRequest:
        """Check what came.

        Args:
            nodes: the nodes that can be asked about, by id.
            given: node (id), inputs (by name; what is left out has its default), steps, first and
                last, one_branch, files; and where a run has shown them, timeline (sigmas,
                timesteps, percents, half_log_snrs), layers and observed, as in its report.

        Raises:
            BadRequest: the question is not of that form.
        """
        given = _dict(given, "question")
        name = given.get("node")
        node = nodes.get(name) if isinstance(name, str) else None
        if node is None:
            raise BadRequest(f"there is no node {_shown(name)} with a strip")
        spend(A_QUESTION)
        steps = _whole(given.get("steps"), "steps", 1, MAX_STEPS)
        first = _number(given.get("first", 0.0), "first", 0.0, 1.0)
        return cls(
            node=node,
            inputs=_inputs(node, _dict(given.get("inputs", {}), "inputs")),
            steps=steps,
            first=first,
            last=_number(given.get("last", 1.0), "last", first, 1.0),
            has_one_branch=given.get("one_branch") is True,
            timeline=_timeline(given.get("timeline"), steps),
            layers=_layers(given.get("layers")),
            observed=_observed(given.get("observed")),
            files=_files(given.get("files", [])),
        )


def _inputs(node: type[PreviewedNode], given: Mapping[str, Any]) -> dict[str, Any]:
    """Values for every input but the model, checked as the host would."""
    found: dict[str, Any] = {}
    for item in node.define_schema().inputs:
        if item.id == "model":
            continue
        value = given.get(item.id)
        if value is None:
            value = default_of(item)
        found[item.id] = _checked(item.id, item.get_io_type(), value, item.as_dict())
    return found


def default_of(item: io.Input) -> Any:
    """The value that an input of a node comes with: its default, or its first option."""
    options = item.as_dict()
    return options.get("default", next(iter(options.get("options") or ()), None))


def _checked(name: str, kind: str, value: Any, options: Mapping[str, Any]) -> Any:
    low, high = options.get("min", -math.inf), options.get("max", math.inf)
    if kind == "INT":
        return _whole(value, name, low, high)
    if kind == "FLOAT":
        return _number(value, name, low, high)
    if kind == "COMBO" and isinstance(value, str) and len(value) <= MAX_LETTERS:
        return value
    raise BadRequest(f"{name} is {_shown(value)}, which is no {kind.lower()}")


def _timeline(given: Any, steps: int) -> Timeline | None:
    """The schedule of the last run, if it was one of so many steps."""
    if given is None:
        return None
    given = _dict(given, "timeline")
    lists = [_list(given.get(key), key) for key in ("sigmas", "timesteps", "percents")]
    sigmas = tuple(_number(each, "sigmas") for each in lists[0])
    timesteps = tuple(None if t is None else _number(t, "timesteps") for t in lists[1])
    percents = tuple(_number(each, "percents") for each in lists[2])
    # Pages that were opened before this was told do not send it.
    name, most = "half_log_snrs", MAX_HALF_LOG_SNR
    half_log_snrs = tuple(_number(n, name, -most, most) for n in _list(given.get(name, []), name))
    try:
        timeline = Timeline(sigmas, timesteps, percents, half_log_snrs)
    except ConfigError as error:
        raise BadRequest(str(error)) from error
    return timeline if timeline.steps == steps else None


def _layers(given: Any) -> dict[SiteKind, int] | None:
    if given is None:
        return None
    layers = _dict(given, "layers")
    known = {kind.value: kind for kind in SiteKind}
    return {
        known[name]: _whole(count, name, 0, MAX_LAYERS)
        for name, count in layers.items()
        if name in known
    }


def _observed(given: Any) -> Observation | None:
    if given is None:
        return None
    given = _dict(given, "observed")
    seen: list[Seen] = []
    for each in _list(given.get("seen"), "seen"):
        each = _dict(each, "seen")
        seconds = _number(each.get("seconds"), "seconds", 0.0, MAX_SECONDS)
        steps = _whole(each.get("steps"), "steps", 1, MAX_STEPS)
        storing = _number(each.get("storing", 0.0), "storing", 0.0, seconds)
        reused = _by_part(each.get("reused"), "reused", 1.0)
        seen.append(Seen(reused, seconds, steps, storing))
    starts = _list(given.get("row_starts", []), "row_starts")
    return Observation(
        tuple(seen),
        _by_part(given.get("value_bytes"), "value_bytes", MAX_BYTES),
        tuple(_whole(each, "row_starts", 0, MAX_LAYERS) for each in starts),
    )


def _files(given: Any) -> tuple[tuple[str, ...], ...]:
    loaders = _list(given, "files")
    if len(loaders) > MAX_NAMES:
        raise BadRequest(f"files are of {len(loaders)} loaders; expected at most {MAX_NAMES}")
    return tuple(tuple(map(_name, _list(names, "files")[:MAX_NAMES])) for names in loaders)


def _name(value: Any) -> str:
    if isinstance(value, str) and len(value) <= MAX_LETTERS:
        return value
    raise BadRequest(f"a file is no name of at most {MAX_LETTERS} letters")


def _by_part(given: Any, name: str, most: float) -> dict[Part, float]:
    parts = _dict(given, name)
    if len(parts) > MAX_PARTS:
        raise BadRequest(f"{name} is about {len(parts)} kinds; expected at most {MAX_PARTS}")
    found = {part_named(key): _number(n, name, 0.0, most) for key, n in parts.items()}
    return {part: n for part, n in found.items() if part is not None}


def _dict(value: Any, name: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise BadRequest(f"{name} is a {type(value).__name__}; expected an object")


def _list(value: Any, name: str) -> list[Any]:
    if isinstance(value, list) and len(value) <= MAX_STEPS + 1:
        spend(len(value))
        return value
    raise BadRequest(f"{name} is no list of at most {MAX_STEPS + 1} numbers")


def _number(value: Any, name: str, low: float = -math.inf, high: float = math.inf) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # Whole numbers may be longer than any of floating point.
    if is_number and -LARGEST <= value <= LARGEST and low <= value <= high:
        return float(value)
    raise BadRequest(f"{name} is {_shown(value)}; expected a number from {low} to {high}")


def _whole(value: Any, name: str, low: float, high: float) -> int:
    number = _number(value, name, low, high)
    if number.is_integer():
        return int(number)
    raise BadRequest(f"{name} is {_shown(value)}; expected a whole number")


def _shown(value: Any) -> str:
    """A value in a message: what is long or nested is not repeated."""
    if not isinstance(value, str | int | float | None):
        return f"a {type(value).__name__}"
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]} …"
