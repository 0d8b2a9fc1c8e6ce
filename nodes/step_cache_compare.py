"""Node "Step Cache Compare"."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io

from . import comparing, inputs
from .node import Node

NAME = "Step Cache Compare"


class StepCacheCompare(Node):
    """Sets a plain and a cached picture side by side."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StepCacheCompare",
            display_name=NAME,
            category=inputs.CATEGORY,
            description=(
                "A plain and a cached picture side by side, where they differ, and how alike they "
                "are in numbers. Draw both with the same seed and settings; only the Step Cache "
                "node may differ."
            ),
            search_aliases=["compare", "before after", "difference", "side by side"],
            inputs=[
                io.Image.Input(
                    "plain", tooltip="Drawn without a Step Cache node. A batch is compared whole."
                ),
                io.Image.Input(
                    "cached", tooltip="Drawn with one, of the same size; as many of them."
                ),
                comparing.shown_input(),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip=(
                        "The model that drew the cached picture, after the last Step Cache node: "
                        "then the seconds that it saved are told too."
                    ),
                ),
            ],
            outputs=comparing.outputs(),
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        plain: torch.Tensor,
        cached: torch.Tensor,
        shown: int = 0,
        model: Any = None,
    ) -> io.NodeOutput:
        speed = _speed(model) if model is not None else {}
        comparison = comparing.compare(plain, cached, shown, speed, NAME)
        return io.NodeOutput(*comparison.outputs, ui=comparison.on_node(cls))


def _speed(model: Any) -> dict[str, float | None]:
    """Of the model's last run, by its own report."""
    report = inputs.report_of(model, NAME, "the last Step Cache node")
    return {"seconds": report.seconds, "speedup": report.measured_speedup}
