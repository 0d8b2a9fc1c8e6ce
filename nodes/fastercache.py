"""Node "Apply FasterCache"."""

from __future__ import annotations

from typing import ClassVar

from comfy_api.latest import io

from ..cache_core.methods import FasterCache
from ..cache_core.methods.presets import FASTERCACHE_PRESETS
from . import inputs
from .method_node import Inputs, MethodNode


class ApplyFasterCache(MethodNode):
    """Attaches FasterCache to a model."""

    mild: ClassVar[Inputs] = {"guidance_interval": 2}
    bold: ClassVar[Inputs] = {
        "self_attention": 3,
        "attention_start_percent": 0.1,
        "guidance_interval": 10,
        "guidance_start_percent": 0.1,
    }

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StepCacheApplyFasterCache",
            display_name=FasterCache.name,
            category=inputs.CATEGORY,
            description=(
                "Leaves out the negative prompt in most steps and rebuilds its answer, and "
                "continues attention from its last two outputs. For almost every model, with CFG "
                "above 1. Paper: arXiv 2410.19355."
            ),
            search_aliases=["faster cache"],
            inputs=[
                io.Model.Input("model"),
                inputs.preset(FASTERCACHE_PRESETS),
                inputs.attention_range(
                    "self_attention",
                    2,
                    "within the picture or video, the prompt included where they are one",
                ),
                inputs.attention_range(
                    "temporal_attention", 2, "across frames; video models with separate layers"
                ),
                inputs.attention_range(
                    "cross_attention", 1, "to the prompt; the paper leaves it alone"
                ),
                inputs.percent(
                    "attention_start_percent",
                    0.3,
                    "Before this point of the run attention is computed at every step. 0 is the "
                    "start. Flow models count before their shift.",
                ),
                inputs.percent(
                    "attention_end_percent",
                    1.0,
                    "After this point of the run attention is computed at every step. 1 is the "
                    "end.",
                ),
                io.Int.Input(
                    "guidance_interval",
                    default=5,
                    min=1,
                    max=100,
                    tooltip=(
                        "Both prompts are evaluated every this many steps; between, only the "
                        "positive one. Higher is faster and less exact, 1 always runs both."
                    ),
                ),
                inputs.percent(
                    "guidance_start_percent",
                    0.33,
                    "Before this point of the run both prompts are evaluated at every step: the "
                    "first steps decide the composition. 0 is the start.",
                ),
                inputs.percent(
                    "guidance_end_percent",
                    1.0,
                    "After this point of the run both prompts are evaluated at every step. 1 is "
                    "the end.",
                ),
                *_gains(),
            ],
            outputs=[io.Model.Output()],
            hidden=[io.Hidden.unique_id],
            not_idempotent=True,
        )

    @classmethod
    def method(
        cls,
        preset: str,
        self_attention: int,
        temporal_attention: int,
        cross_attention: int,
        attention_start_percent: float,
        attention_end_percent: float,
        guidance_interval: int,
        guidance_start_percent: float,
        guidance_end_percent: float,
        low_gain: float,
        high_gain: float,
        switch_percent: float,
    ) -> FasterCache:
        return inputs.choose(FasterCache, FASTERCACHE_PRESETS, preset) or inputs.build(
            FasterCache,
            self_attention=self_attention,
            temporal_attention=temporal_attention,
            cross_attention=cross_attention,
            attention_window=inputs.window(
                FasterCache, attention_start_percent, attention_end_percent, "attention"
            ),
            guidance_interval=guidance_interval,
            guidance_window=inputs.window(
                FasterCache, guidance_start_percent, guidance_end_percent, "guidance"
            ),
            low_gain=low_gain,
            high_gain=high_gain,
            low_window=inputs.window(FasterCache, 0.0, switch_percent, "switch_percent"),
            high_window=inputs.window(FasterCache, switch_percent, 1.0, "switch_percent"),
        )


def _gains() -> list[io.Input]:
    return [
        io.Float.Input(
            "low_gain",
            default=1.2,
            min=0.01,
            max=10.0,
            step=0.01,
            tooltip=(
                "While only the positive prompt runs, early in the run: how strongly large shapes "
                "of the remembered difference between the prompts count. 1 takes it as it was."
            ),
            advanced=True,
        ),
        io.Float.Input(
            "high_gain",
            default=1.2,
            min=0.01,
            max=10.0,
            step=0.01,
            tooltip=(
                "The same for fine detail, late in the run. 1 takes it as it was; published: "
                "1.05-1.25."
            ),
            advanced=True,
        ),
        inputs.percent(
            "switch_percent",
            0.7,
            "Where in the run the amplification changes over: large shapes before this point, fine "
            "detail after it.",
            low=0.01,
            high=0.99,
            advanced=True,
        ),
    ]
