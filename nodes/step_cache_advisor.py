"""Node "Step Cache Advisor"."""

from __future__ import annotations

import hashlib

import torch
from comfy_api.latest import io

from ..cache_core.advisor import Advice, Advisor
from ..cache_core.clock import Timeline
from ..cache_core.errors import ConfigError
from ..cache_core.host import timeline_of
from ..cache_core.methods import Method
from ..cache_core.schedule_file import read_bytes
from ..previews import library
from ..previews.cache import PreviewCache
from . import inputs
from .method_node import MethodNode

NAME = "Step Cache Advisor"


class StepCacheAdvisor(MethodNode):
    """Chooses a method and its settings, and attaches it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StepCacheAdvisor",
            display_name=NAME,
            category=inputs.CATEGORY,
            description=(
                "Chooses the method and the settings that lose least for a wished speed, and "
                "applies them: Step Cache, and where that does not act another method, by what "
                "SmoothCache Calibrate has measured on this model. The text says what it chose, "
                "why, and what the others would have done."
            ),
            search_aliases=["recommend", "best settings", "auto"],
            inputs=[
                io.Model.Input("model"),
                io.Combo.Input(
                    "calibration",
                    options=library.calibrations(),
                    tooltip=(
                        f"A file made by SmoothCache Calibrate, in user/{library.USER_FOLDER}. It "
                        f"fits one architecture; LoRAs and other weights of it are fine."
                    ),
                ),
                io.Float.Input(
                    "speedup",
                    default=1.5,
                    min=1.1,
                    max=5.0,
                    step=0.05,
                    round=0.01,
                    display_mode=io.NumberDisplay.slider,
                    tooltip=(
                        "From quality (1.1) to speed (5: five times as fast). "
                        "The least error for this speed is chosen; if nothing is as fast, the "
                        "fastest."
                    ),
                ),
            ],
            outputs=[io.Model.Output(), io.String.Output(display_name="text")],
            hidden=[io.Hidden.unique_id],
            not_idempotent=True,
        )

    @classmethod
    def fingerprint_inputs(cls, model: io.Model.Type, calibration: str, speedup: float) -> str:
        """Changes with the file, so that ComfyUI reads an edited one again."""
        return hashlib.sha256(read_bytes(library.path_of(calibration))).hexdigest()

    @classmethod
    def method(cls, calibration: str, speedup: float) -> Method:
        return cls.previewed(PreviewCache(), calibration, speedup)

    @classmethod
    def previewed(cls, cache: PreviewCache, calibration: str, speedup: float) -> Method:
        advisor = _advisor(cache, calibration)
        return _advice(advisor, advisor.calibration.timeline, speedup, calibration).method

    @classmethod
    def execute(cls, model: io.Model.Type, calibration: str, speedup: float) -> io.NodeOutput:
        advisor = _advisor(PreviewCache(), calibration)
        sampling = model.get_model_object("model_sampling")
        timeline = timeline_of(sampling, torch.tensor(advisor.calibration.table.sigmas))
        advice = _advice(advisor, timeline, speedup, calibration)
        reason = advice.reason
        return io.NodeOutput(cls.attach(model, advice.method), reason, ui={"text": (reason,)})


def _advisor(cache: PreviewCache, calibration: str) -> Advisor:
    """The advisor by the calibration of that name; messages of errors begin with the node's name.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return cache.advisor(calibration)
    except ConfigError as error:
        raise ConfigError(f"{NAME}: {error}") from error


def _advice(advisor: Advisor, timeline: Timeline, speedup: float, label: str) -> Advice:
    """What to do about a run; errors as of `_advisor`."""
    try:
        return advisor.advise(timeline, speedup, label)
    except ConfigError as error:
        raise ConfigError(f"{NAME}: {error}") from error
