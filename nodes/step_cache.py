"""Node "Step Cache"."""

from __future__ import annotations

import hashlib
from typing import Any

from comfy_api.latest import io

from ..cache_core.methods import StepCache
from ..cache_core.methods.step_cache import CARRIED, MAX_SPEED
from ..cache_core.schedule_file import read_bytes
from ..previews import library
from ..previews.cache import PreviewCache
from . import inputs
from .method_node import MethodNode

NO_CALIBRATION = "none"

SEARCHED = (
    "speed", "faster", "accelerate", "speed up", "skip steps", "cache", "teacache", "easycache",
    "lazycache", "magcache", "first block cache", "wavespeed", "taylorseer", "forecast",
)  # fmt: skip
"""What people look for who want what this node does."""


class StepCacheForecast(MethodNode):
    """Attaches the forecast of whole evaluations to a model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StepCacheForecast",
            display_name=StepCache.name,
            category=inputs.CATEGORY,
            description=(
                "Makes sampling up to as many times faster as its slider says: some steps run the "
                "model, and the others are forecast from them. Works with nearly every model and "
                "sampler. Put it between the loader and the sampler."
            ),
            search_aliases=list(SEARCHED),
            inputs=[
                io.Model.Input("model"),
                io.Float.Input(
                    "speed",
                    default=2.0,
                    min=1.0,
                    max=MAX_SPEED,
                    step=0.1,
                    round=0.01,
                    display_mode=io.NumberDisplay.slider,
                    tooltip=(
                        "How many times fewer steps run the model: 2 leaves out every second one. "
                        "Higher is faster and drifts further from the plain picture; 1 changes "
                        "nothing."
                    ),
                ),
                inputs.start_percent(0.0, advanced=True),
                inputs.end_percent(1.0, advanced=True),
                io.Combo.Input(
                    "carried",
                    options=list(CARRIED),
                    default="auto",
                    tooltip=(
                        "What is continued from step to step. auto: the noise; the picture where "
                        "the sampler adds noise of its own (ancestral, SDE, LCM) or steps on from "
                        "several answers (DPM++ 2M, UniPC)."
                    ),
                    advanced=True,
                ),
                io.Combo.Input(
                    "calibration",
                    options=[NO_CALIBRATION, *library.calibrations()],
                    default=NO_CALIBRATION,
                    optional=True,
                    tooltip=(
                        "A file that SmoothCache Calibrate has made of this model: the steps that "
                        "run the model are then searched for each run, and the text says which "
                        "error to expect. none: dense at both ends, which fits any model."
                    ),
                    advanced=True,
                ),
            ],
            outputs=[io.Model.Output(), io.String.Output(display_name="text")],
            hidden=[io.Hidden.unique_id],
            not_idempotent=True,
        )

    @classmethod
    def fingerprint_inputs(cls, calibration: str = NO_CALIBRATION, **others: object) -> str:
        """Changes with the file, so that ComfyUI reads an edited one again."""
        if calibration == NO_CALIBRATION:
            return ""
        return hashlib.sha256(read_bytes(library.path_of(calibration))).hexdigest()

    @classmethod
    def method(cls, *values: Any, **inputs: Any) -> StepCache:
        return cls.previewed(PreviewCache(), *values, **inputs)

    @classmethod
    def previewed(
        cls,
        cache: PreviewCache,
        speed: float,
        start_percent: float,
        end_percent: float,
        carried: str,
        calibration: str = NO_CALIBRATION,
    ) -> StepCache:
        is_calibrated = calibration != NO_CALIBRATION
        return inputs.build(
            StepCache,
            speed=speed,
            start_percent=start_percent,
            end_percent=end_percent,
            carried=carried,
            calibration=cache.calibration(calibration) if is_calibrated else None,
            label=calibration,
        )

    @classmethod
    def execute(cls, model: io.Model.Type, *values: Any, **inputs: Any) -> io.NodeOutput:
        method = cls.method(*values, **inputs)
        return io.NodeOutput(cls.attach(model, method), method.expectation())
