"""What a node will do, worked out from its widgets while somebody moves them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cache_core.calibration import Calibration, Prediction
from ..cache_core.clock import TINY, Timeline
from ..cache_core.errors import StepCacheError
from ..cache_core.host import ModelInfo
from ..cache_core.methods import Method
from ..cache_core.outlook import outlook_of
from .cache import PreviewCache
from .request import PreviewedNode, PreviewRequest

VERSION = 1
"""Of the answer; raised when a key changes its meaning or goes away."""


def preview(
    nodes: Mapping[str, type[PreviewedNode]], asked: Any, cache: PreviewCache
) -> dict[str, Any]:
    """The strips that a node's widgets mean.

    Args:
        nodes: the nodes that can be asked about, by id.
        cache: what earlier requests have left to look things up in.
        asked: as for `PreviewRequest.read`.

    Returns:
        strips (letters by kind), description, prediction or None (by a calibration), estimate
        (speedup and bytes by what was observed, None where that does not tell), error (in words)
        or None, and is_pending (whether the model's file will soon tell more).

    Raises:
        BadRequest: the question cannot be read.
    """
    request = PreviewRequest.read(nodes, asked)
    model_info, is_pending = cache.model_info(request.files)
    return {**_planned(request, model_info, cache), "is_pending": is_pending}


def _planned(
    request: PreviewRequest, model_info: ModelInfo | None, cache: PreviewCache
) -> dict[str, Any]:
    try:
        method = request.node.previewed(cache, **request.inputs)
    except StepCacheError as error:
        return _answer(error=str(error))
    layers = request.layers
    # What a run has shown counts. Where that is another model, some node has exchanged it.
    if model_info is not None and layers in (None, model_info.facts.layers):
        layers = model_info.facts.layers
        try:
            model_info.accept(method)
        except StepCacheError as error:
            return _answer(error=str(error))
    timeline = request.timeline or assumed_timeline(
        method, request.steps, request.first, request.last
    )
    measured: Calibration | None = getattr(method, "calibration", None)
    if layers is None and measured is not None:
        layers = measured.model.layers
    try:
        fitted = method.fitted(timeline)
        outlook = outlook_of(
            fitted.rules(), timeline, layers, request.observed,
            has_one_branch=request.has_one_branch,
        )  # fmt: skip
    except StepCacheError as error:
        return _answer(error=f"{method.name}: {error}")
    estimate = None
    if request.observed is not None:
        estimate = {"speedup": outlook.speedup, "bytes": outlook.nbytes}
    return _answer(outlook.strips, fitted.describe(), fitted.prediction, estimate)


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
    half_log_snrs = _half_log_snrs(calibration.timeline, sigmas)
    return replace(even, sigmas=tuple(map(float, sigmas)), half_log_snrs=half_log_snrs)


def _half_log_snrs(measured: Timeline, sigmas: NDArray[np.float64]) -> tuple[float, ...]:
    """log(alpha / sigma) at other noise levels than those measured: alpha is read off between."""
    if not measured.half_log_snrs:
        return ()
    pairs = zip(measured.sigmas, measured.half_log_snrs, strict=True)
    known = [(sigma, sigma * math.exp(half)) for sigma, half in reversed(list(pairs)) if sigma]
    alphas = np.interp(sigmas, *np.array(known).T)
    return tuple(np.log(np.maximum(alphas, TINY) / np.maximum(sigmas, TINY)).tolist())


def _answer(
    strips: Mapping[str, str] | None = None,
    description: str = "",
    prediction: Prediction | None = None,
    estimate: Mapping[str, float | None] | None = None,
    error: str | None = None,
) -> dict[str, Any]:
    return {
        "version": VERSION,
        "strips": dict(strips or {}),
        "description": description,
        "prediction": prediction.to_dict() if prediction is not None else None,
        "estimate": estimate,
        "error": error,
    }
