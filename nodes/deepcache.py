"""Node "DeepCache UNet"."""

from __future__ import annotations

from typing import ClassVar

from comfy_api.latest import io

from ..cache_core.methods import CUSTOM, DeepCache
from ..cache_core.methods.presets import DEEPCACHE_PRESETS
from . import inputs
from .method_node import Inputs, MethodNode

UNIFORM = "uniform"
NON_UNIFORM = "non-uniform"


class DeepCacheUNet(MethodNode):
    """Attaches DeepCache to a UNet."""

    mild: ClassVar[Inputs] = {"interval": 2}
    bold: ClassVar[Inputs] = {"interval": 5}

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StepCacheDeepCacheUNet",
            display_name=DeepCache.name,
            category=inputs.CATEGORY,
            description=(
                "Runs the whole UNet only every few steps and its shallow part in between. For "
                "SD1.5, SD2, SDXL, SVD and other UNets. Paper: arXiv 2312.00858."
            ),
            search_aliases=["deep cache"],
            inputs=[
                io.Model.Input("model"),
                io.Int.Input(
                    "interval",
                    default=3,
                    min=1,
                    max=100,
                    tooltip=(
                        "One full step, then interval - 1 shallow ones. Higher is faster and "
                        "drifts further from the plain picture; 1 turns reuse off."
                    ),
                ),
                io.Int.Input(
                    "branch",
                    default=0,
                    min=0,
                    max=35,
                    tooltip=(
                        "How many input blocks still run on shallow steps, counted from 0. 0 is "
                        "fastest; higher keeps more of the network fresh. SD1.5 has 0-11, SDXL 0-8."
                    ),
                ),
                io.Combo.Input(
                    "schedule",
                    options=[UNIFORM, NON_UNIFORM],
                    default=UNIFORM,
                    tooltip=(
                        "uniform: every interval-th step is full. non-uniform: as many full "
                        "steps, gathered around the center; better from interval 5 on."
                    ),
                ),
                io.Int.Input(
                    "center",
                    default=15,
                    min=0,
                    max=1000,
                    tooltip="Non-uniform only: the step around which full steps are densest.",
                    advanced=True,
                ),
                io.Float.Input(
                    "power",
                    default=1.4,
                    min=1.01,
                    max=3.0,
                    step=0.01,
                    tooltip="Non-uniform only: how strongly full steps gather. Published: 1.2-1.5.",
                    advanced=True,
                ),
                inputs.start_percent(0.0),
                inputs.end_percent(1.0),
                # Optional, so that prompts saved before it existed still run.
                inputs.preset(DEEPCACHE_PRESETS, optional=True),
            ],
            outputs=[io.Model.Output()],
            hidden=[io.Hidden.unique_id],
            not_idempotent=True,
        )

    @classmethod
    def method(
        cls,
        interval: int,
        branch: int,
        schedule: str,
        center: int,
        power: float,
        start_percent: float,
        end_percent: float,
        preset: str = CUSTOM.name,
    ) -> DeepCache:
        return inputs.choose(DeepCache, DEEPCACHE_PRESETS, preset) or inputs.build(
            DeepCache,
            interval=interval,
            branch=branch,
            uniform=schedule == UNIFORM,
            center=center,
            power=power,
            start_percent=start_percent,
            end_percent=end_percent,
        )
