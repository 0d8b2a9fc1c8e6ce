"""Context windows: a long clip is sampled window by window."""

from __future__ import annotations

from typing import Any

from comfy_extras.nodes_context_windows import ContextWindowsManualNode
from host import applied
from toy import accepted

from .companion import Companion, empty

LENGTH = 8
WITHOUT_FIX = accepted(ContextWindowsManualNode.execute, causal_window_fix=False)
"""Older hosts never repeat a first frame in every window."""
VIDEOS = ("wan", "hunyuan_video", "cogvideox")
"""Video DiTs: windows lie along the frames."""


def _windows(schedule: str, dim: int, **over: Any) -> Any:
    inputs: dict[str, Any] = {
        "context_length": 4, "context_overlap": 2, "context_schedule": schedule,
        "context_stride": 1, "closed_loop": False, "fuse_method": "pyramid", "dim": dim,
        "freenoise": False, **over,
    }  # fmt: skip
    return applied("nodes_context_windows", "ContextWindowsManualNode", **inputs)


def _long_clip(name: str) -> dict[str, Any]:
    return {"latent": empty(name)[:, :, :1].repeat(1, 1, LENGTH, 1, 1)}


WINDOWS = [
    Companion(
        "context windows", VIDEOS, ("FasterCache", "TGate", "SmoothCache", "PAB blocks"),
        _windows("standard_static", 2), options=_long_clip,
    ),
    Companion(
        "moving context windows", VIDEOS, ("FasterCache", "TGate"),
        _windows("standard_uniform", 2, context_stride=2, freenoise=True),
        options=_long_clip, steps=6, has_forced=True,
    ),
    # Motion modules make frames of a UNet's batch.
    Companion(
        "context windows over a batch", ("sd15",), ("FasterCache", "DeepCache"),
        _windows("standard_static", 0, context_length=3, context_overlap=1, **WITHOUT_FIX),
        options=lambda name: {"latent": empty(name).repeat(5, 1, 1, 1)},
    ),
]  # fmt: skip
