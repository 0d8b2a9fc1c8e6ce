"""Node "Apply PAB"."""

from __future__ import annotations

from typing import ClassVar

from comfy_api.latest import io

from ..cache_core.methods import CUSTOM, PAB
from ..cache_core.methods.presets import PAB_PRESETS
from . import inputs
from .method_node import Inputs, MethodNode


class ApplyPAB(MethodNode):
    """Attaches Pyramid Attention Broadcast to a model."""

    mild: ClassVar[Inputs] = {"cross_attention": 2}
    bold: ClassVar[Inputs] = {
        "self_attention": 4,
        "cross_attention": 12,
        "start_percent": 0.05,
        "end_percent": 0.98,
    }

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StepCacheApplyPAB",
            display_name=PAB.name,
            category=inputs.CATEGORY,
            description=(
                "Computes attention only every few steps in the middle of the run and reuses its "
                "output in between. For almost every model. Paper: arXiv 2408.12588."
            ),
            search_aliases=["pab", "pyramid attention broadcast"],
            inputs=[
                io.Model.Input("model"),
                inputs.attention_range(
                    "self_attention",
                    2,
                    "within the picture or video, the prompt included where they are one; it "
                    "changes fastest",
                ),
                inputs.attention_range(
                    "temporal_attention", 4, "across frames; video models with separate layers"
                ),
                inputs.attention_range("cross_attention", 6, "to the prompt; it changes slowest"),
                inputs.start_percent(0.15),
                inputs.end_percent(0.9),
                *_feed_forward(),
                inputs.preset(PAB_PRESETS, optional=True),
                # Inputs are saved by position too: new ones stand last.
                _block(),
            ],
            outputs=[io.Model.Output()],
            hidden=[io.Hidden.unique_id],
            not_idempotent=True,
        )

    @classmethod
    def method(
        cls,
        self_attention: int,
        temporal_attention: int,
        cross_attention: int,
        start_percent: float,
        end_percent: float,
        feed_forward_start: float = 0.3,
        feed_forward_count: int = 0,
        feed_forward_blocks: int = 5,
        preset: str = CUSTOM.name,
        block: int = 1,
    ) -> PAB:
        return inputs.choose(PAB, PAB_PRESETS, preset) or inputs.build(
            PAB,
            self_attention=self_attention,
            temporal_attention=temporal_attention,
            cross_attention=cross_attention,
            window=inputs.window(PAB, start_percent, end_percent),
            feed_forward_starts=(feed_forward_start,),
            feed_forward_count=feed_forward_count,
            feed_forward_blocks=feed_forward_blocks,
            block=block,
        )


def _block() -> io.Input:
    return io.Int.Input(
        "block",
        default=1,
        min=1,
        max=100,
        tooltip=(
            "Reuse whole blocks instead of attention: compute them once every this many steps. "
            "1 is off; above it the other ranges and feed-forward mean nothing. Saves far more, "
            "also where attention is fused with other layers, as in Flux; not a published setting."
        ),
        optional=True,
        advanced=True,
    )


def _feed_forward() -> list[io.Input]:
    """Optional, so that prompts saved before they existed still run."""
    return [
        inputs.percent(
            "feed_forward_start",
            0.3,
            "Feed-forward layers compute at this point of the steps, and are reused in the few "
            "steps after it. 0 is the first step.",
            high=0.99,
            optional=True,
            advanced=True,
        ),
        io.Int.Input(
            "feed_forward_count",
            default=0,
            min=0,
            max=100,
            tooltip=(
                "How many steps after that point reuse the feed-forward layers. 0 never reuses "
                "them; published: 2."
            ),
            optional=True,
            advanced=True,
        ),
        io.Int.Input(
            "feed_forward_blocks",
            default=5,
            min=0,
            max=1000,
            tooltip=(
                "How many feed-forward layers take part, counted from the first of the network. "
                "More than the model has means all of them; published: 5-7."
            ),
            optional=True,
            advanced=True,
        ),
    ]
