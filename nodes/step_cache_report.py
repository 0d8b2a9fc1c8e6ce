"""Node "Step Cache Report"."""

from __future__ import annotations

import json
from typing import Any

from comfy_api.latest import io

from .. import pictures, torch_settings
from ..cache_core.host import attached
from . import inputs
from .node import Node

NAME = "Step Cache Report"
NOTHING = (
    "No Step Cache node is attached to this model: it was sampled as it is, and nothing was "
    "reused. If that is not what you wanted, connect the model that leaves the last Step Cache "
    "node, the same that goes into the sampler."
)


class StepCacheReport(Node):
    """Shows what the last run of a patched model computed and reused."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StepCacheReport",
            display_name=NAME,
            category=inputs.CATEGORY,
            description=(
                "What the last sampling run of this model computed and reused, and why, as text, "
                "as JSON and as a picture. Pass the "
                "sampler's latent through it, so that it looks after the run."
            ),
            inputs=inputs.sampled("The model that the sampler used."),
            outputs=[
                io.Latent.Output(display_name="latent"),
                io.String.Output(display_name="text"),
                io.String.Output(display_name="json"),
                # Outputs are saved by position: new ones stand last.
                io.Image.Output(display_name="picture"),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, model: io.Model.Type, latent: dict[str, Any]) -> io.NodeOutput:
        told = list(torch_settings.told_by(model))
        numbers: dict[str, Any] = {"settings": told} if told else {}
        if attached(model):
            report = inputs.report_of(model, NAME, "the last Step Cache node")
            text = "\n".join([report.to_text(), *told])
            numbers = {**report.to_dict(), **numbers}
            drawn = pictures.draw_run(report)
        else:
            # Somebody may have bypassed the method to see the plain picture: that must not be lost.
            text = "\n".join(told) or NOTHING
            drawn = pictures.draw_words(text)
        data = json.dumps(numbers or None, indent=2)
        shown = {"text": (text,), "stepcache_report": (data,)}
        return io.NodeOutput(latent, text, data, pictures.to_image(drawn), ui=shown)
