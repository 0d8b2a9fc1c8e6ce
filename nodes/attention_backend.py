"""Node "Attention Backend"."""

from __future__ import annotations

from comfy_api.latest import io

from .. import torch_settings
from ..torch_settings.attention import AUTO, BACKENDS
from . import inputs
from .node import Node


class AttentionBackendNode(Node):
    """Sets which of PyTorch's backends computes attention."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StepCacheAttentionBackend",
            display_name=torch_settings.AttentionBackend.name,
            category=inputs.CATEGORY,
            description=(
                "Which of PyTorch's backends computes attention while this model samples. Sage "
                "attention and other packages, chosen when ComfyUI was started, stay. Step Cache "
                "Report tells which one really ran."
            ),
            search_aliases=["flash attention", "sage attention", "sdpa", "xformers"],
            inputs=[
                io.Model.Input("model"),
                io.Combo.Input(
                    "backend",
                    options=[AUTO, *BACKENDS],
                    default=AUTO,
                    tooltip=(
                        "auto: PyTorch chooses for every shape. flash: keeps no whole table, "
                        "without masks on most GPUs. memory-efficient: with masks too. cuDNN: "
                        "newer NVIDIA GPUs. math: the plain formula, slow, for comparing. What the "
                        "device cannot do is refused before sampling; where single shapes do not "
                        "fit, PyTorch chooses for them."
                    ),
                ),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model: io.Model.Type, backend: str) -> io.NodeOutput:
        return io.NodeOutput(torch_settings.apply(model, torch_settings.AttentionBackend(backend)))
