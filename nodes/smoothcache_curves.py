"""Node "SmoothCache Curves"."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from .. import pictures
from ..cache_core.calibration import Target, choose
from ..cache_core.errors import StepCacheError
from ..cache_core.host import last_calibration
from ..cache_core.methods import Calibrate
from . import inputs
from .node import Node

NAME = "SmoothCache Curves"


class SmoothCacheCurves(Node):
    """Shows what a calibrating run has measured."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StepCacheCurves",
            display_name=NAME,
            category=inputs.CATEGORY,
            description=(
                "Draws what SmoothCache Calibrate has measured: how much every kind of layer "
                "changes from step to step, and a schedule made of it. Pass the sampler's latent "
                "through it, so that it looks after the run."
            ),
            inputs=inputs.sampled("The model that leaves SmoothCache Calibrate."),
            outputs=[
                io.Latent.Output(display_name="latent"),
                io.Image.Output(display_name="picture"),
                io.String.Output(display_name="text"),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, model: io.Model.Type, latent: dict[str, Any]) -> io.NodeOutput:
        calibration = inputs.ask(last_calibration, model, NAME, Calibrate.name)
        report = inputs.report_of(model, NAME, Calibrate.name)
        if calibration is None:
            raise StepCacheError(f"{NAME}: nothing was measured. {'. '.join(report.notes)}")
        try:
            chosen = choose(calibration, calibration.timeline, Target())
        except StepCacheError as error:
            raise StepCacheError(f"{NAME}: {error}. {'. '.join(report.notes)}") from error
        drawn = pictures.to_image(pictures.draw(calibration, chosen, "What was measured"))
        notes = dict.fromkeys((*calibration.remarks, *report.notes))
        text = "\n".join([str(chosen.prediction), *notes])
        return io.NodeOutput(latent, drawn, text, ui={"text": (text,)})
