"""Node "Fused Projections"."""

from __future__ import annotations

from comfy_api.latest import io

from .. import torch_settings
from . import inputs
from .node import Node


class FusedProjectionsNode(Node):
    """Asks for queries, keys and values at once."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StepCacheFusedProjections",
            display_name=torch_settings.FusedProjections.name,
            category=inputs.CATEGORY,
            description=(
                "Computes the queries, keys and values of attention by one product instead of "
                "three while this model samples; the picture stays the same up to rounding. The "
                "weights in question are kept a second time for as long as it samples. Step Cache "
                "Report tells what was fused, and what was not, and why."
            ),
            search_aliases=["fuse qkv", "fused qkv"],
            inputs=[io.Model.Input("model")],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model: io.Model.Type) -> io.NodeOutput:
        return io.NodeOutput(torch_settings.apply(model, torch_settings.FusedProjections()))
