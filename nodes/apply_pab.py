"""Node "Apply PAB"."""

from __future__ import annotations

from comfy_api.latest import io

from ..cache_core.methods import PAB
from ..cache_core.patching import attach
from . import inputs


class ApplyPAB(io.ComfyNode):
    """Attaches Pyramid Attention Broadcast to a model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StepCacheApplyPAB",
            display_name=PAB.name,
            category=inputs.CATEGORY,
            description=(
                "Computes attention only every few steps in the middle of the run and reuses its "
                "output in between. For Wan and UNets. Paper: arXiv 2408.12588."
            ),
            inputs=[
                io.Model.Input("model"),
                _range("self_attention", 2, "within the picture or video; it changes fastest"),
                _range("temporal_attention", 4, "across frames; video models with separate layers"),
                _range("cross_attention", 6, "to the prompt; it changes slowest"),
                inputs.start_percent(0.15),
                inputs.end_percent(0.9),
            ],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(  # pyright: ignore[reportIncompatibleMethodOverride]
        cls,
        model: io.Model.Type,
        self_attention: int,
        temporal_attention: int,
        cross_attention: int,
        start_percent: float,
        end_percent: float,
    ) -> io.NodeOutput:
        method = inputs.build(
            PAB,
            self_attention=self_attention,
            temporal_attention=temporal_attention,
            cross_attention=cross_attention,
            window=inputs.window(PAB, start_percent, end_percent),
        )
        return io.NodeOutput(attach(model, method))


def _range(kind: str, default: int, what: str) -> io.Int.Input:
    return io.Int.Input(
        kind,
        default=default,
        min=1,
        max=100,
        tooltip=(
            f"Attention {what}. Compute it every this many steps and reuse it in between: higher "
            f"is faster and less exact, 1 never reuses."
        ),
    )
