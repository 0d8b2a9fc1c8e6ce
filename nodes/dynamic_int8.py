"""Node "Dynamic Int8"."""

from __future__ import annotations

from comfy_api.latest import io

from .. import torch_settings
from ..torch_settings.int8 import ANYWAY, STOP
from . import inputs
from .node import Node


class DynamicInt8Node(Node):
    """Multiplies in int8 where that gains."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StepCacheDynamicInt8",
            display_name=torch_settings.DynamicInt8.name,
            category=inputs.CATEGORY,
            description=(
                "Linear layers of attention and feed-forward multiply in int8 while this model "
                "samples; the picture changes a little. Whether this device gains by it is "
                "measured before sampling. Step Cache Report tells what was measured, which "
                "layers were computed in int8, and which were not, and why."
            ),
            search_aliases=["int8", "quantize", "quantization"],
            inputs=[
                io.Model.Input("model"),
                io.Int.Input(
                    "least_width",
                    default=512,
                    min=1,
                    max=65536,
                    tooltip=(
                        "Layers with fewer inputs or outputs stay as they are. Lower: more layers "
                        "in int8, though narrow ones gain little or lose. Higher: only the "
                        "widest, and the picture stays nearer to the plain one."
                    ),
                ),
                io.Combo.Input(
                    "without_gain",
                    options=[STOP, ANYWAY],
                    default=STOP,
                    tooltip=(
                        "What to do where int8 is measured to be no faster. stop with a message: "
                        "refused before sampling, with the ratio. int8 all the same: to look at "
                        "the picture on a device that gains nothing."
                    ),
                ),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model: io.Model.Type, least_width: int, without_gain: str) -> io.NodeOutput:
        return io.NodeOutput(
            torch_settings.apply(model, torch_settings.DynamicInt8(least_width, without_gain))
        )
