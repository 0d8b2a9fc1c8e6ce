"""Node "Regional Compile"."""

from __future__ import annotations

from comfy_api.latest import io

from .. import torch_settings
from ..torch_settings.compiler import DYNAMIC
from . import inputs
from .node import Node


class RegionalCompileNode(Node):
    """Compiles the repeated blocks of a network."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StepCacheRegionalCompile",
            display_name=torch_settings.RegionalCompile.name,
            category=inputs.CATEGORY,
            description=(
                "Compiles the repeated blocks of this model instead of the whole: all blocks of a "
                "kind share what is compiled, so that the first run waits far less than with "
                "TorchCompileModel. Works beside caches. The picture stays the same up to "
                "rounding. Step Cache Report tells what was compiled, what was not, and why."
            ),
            search_aliases=["compile", "torch.compile", "torchcompile", "inductor"],
            inputs=[
                io.Model.Input("model"),
                io.Combo.Input(
                    "dynamic",
                    options=list(DYNAMIC),
                    default="auto",
                    tooltip=(
                        "Whether another size of picture or batch is compiled anew. auto: the "
                        "second size once more, for all sizes to come. on: the first one for all "
                        "sizes at once, which may run a little slower. off: every size by itself, "
                        "for those who always sample the same one."
                    ),
                ),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model: io.Model.Type, dynamic: str) -> io.NodeOutput:
        return io.NodeOutput(torch_settings.apply(model, torch_settings.RegionalCompile(dynamic)))
