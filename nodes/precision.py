"""Node "Precision"."""

from __future__ import annotations

from comfy_api.latest import io

from .. import torch_settings
from ..torch_settings.precision import PRODUCTS, SUMS, UNCHANGED
from . import inputs
from .node import Node


class PrecisionNode(Node):
    """Sets how exactly PyTorch multiplies while a model samples."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StepCachePrecision",
            display_name=torch_settings.Precision.name,
            category=inputs.CATEGORY,
            description=(
                "How exactly PyTorch multiplies while this model samples; afterwards everything "
                "is as it was. The text tells what the weights are made of, and which of the "
                "loader's options would be faster on this device."
            ),
            search_aliases=["tf32", "bf16", "fp16", "half precision"],
            inputs=[
                io.Model.Input("model"),
                io.Combo.Input(
                    "products",
                    options=[UNCHANGED, *PRODUCTS],
                    default="TF32",
                    tooltip=(
                        "Products of float32 numbers. float32 in full: exact. TF32: 10 bits of "
                        "fraction instead of 23, faster on many NVIDIA GPUs since 2020. bfloat16: "
                        "7 bits, where the processor has them. Without effect on models that "
                        "compute in half precision."
                    ),
                ),
                io.Combo.Input(
                    "sums",
                    options=[UNCHANGED, *SUMS],
                    default=UNCHANGED,
                    tooltip=(
                        "Sums of half-precision products on NVIDIA GPUs. reduced: kept in half "
                        "precision on the way, a little faster. in full: kept in float32, for "
                        "models that turn black or noisy in float16."
                    ),
                ),
            ],
            outputs=[io.Model.Output(), io.String.Output(display_name="text")],
        )

    @classmethod
    def execute(cls, model: io.Model.Type, products: str, sums: str) -> io.NodeOutput:
        patched = torch_settings.apply(model, torch_settings.Precision(products, sums))
        text = "\n".join(torch_settings.facts_on(model))
        return io.NodeOutput(patched, text, ui={"text": (text,)})
