"""Node "Step Cache Compare Runs"."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch
from comfy_api.latest import io

import nodes as host_nodes

from ..cache_core.errors import StepCacheError
from ..cache_core.host import attached, detached
from . import comparing, inputs
from .node import Node

NAME = "Step Cache Compare Runs"

Latent = dict[str, Any]


class StepCacheCompareRuns(Node):
    """Samples a latent twice, without and with the caches, and compares the pictures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StepCacheCompareRuns",
            display_name=NAME,
            category=inputs.CATEGORY,
            description=(
                "Draws the same picture without and with the Step Cache nodes of this model, sets "
                "them side by side and tells both times. Takes the place of KSampler while you "
                "look for settings."
            ),
            search_aliases=["compare", "before after", "a/b test", "benchmark"],
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="After the last Step Cache node; the plain run leaves the caches out.",
                ),
                *inputs.conditioning(),
                io.Latent.Input("latent_image", tooltip="As on KSampler; both runs start from it."),
                io.Vae.Input("vae", tooltip="Makes the pictures that are compared."),
                *inputs.sampling(
                    "Both runs begin with the same noise.",
                    "Of each of the two runs; take as many as you will use.",
                ),
                comparing.shown_input(),
            ],
            outputs=[
                *comparing.outputs(),
                io.Float.Output(display_name="speedup"),
                io.Latent.Output(display_name="plain"),
                io.Latent.Output(display_name="cached"),
            ],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def execute(
        cls,
        model: Any,
        positive: Any,
        negative: Any,
        latent_image: Latent,
        vae: Any,
        seed: int,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        denoise: float = 1.0,
        shown: int = 0,
    ) -> io.NodeOutput:
        if not attached(model):
            raise StepCacheError(
                f"{NAME}: no Step Cache node is attached to this model, so both runs would be the "
                f"same. Connect the model that leaves one, such as Apply PAB"
            )

        def sampled(which: Any, steps: int) -> Latent:
            return host_nodes.common_ksampler(
                which, seed, steps, cfg, sampler_name, scheduler, positive, negative, latent_image,
                denoise=denoise,
            )[0]  # fmt: skip

        plain_model = detached(model)
        # Loads the model, and lets the device choose its kernels: that is part of neither run.
        sampled(plain_model, 1)
        (plain, plain_seconds), (cached, seconds) = (
            _timed(lambda which=which: sampled(which, steps)) for which in (plain_model, model)
        )
        before, after = (host_nodes.VAEDecode().decode(vae, one)[0] for one in (plain, cached))
        speed = {
            "plain_seconds": plain_seconds,
            "seconds": seconds,
            "speedup": plain_seconds / seconds,
        }
        comparison = comparing.compare(before, after, shown, speed, NAME)
        return io.NodeOutput(
            *comparison.outputs, speed["speedup"], plain, cached, ui=comparison.on_node(cls)
        )


def _timed(run: Callable[[], Latent]) -> tuple[Latent, float]:
    """What a run returns, and its seconds."""
    started = perf_counter()
    latent = run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return latent, perf_counter() - started
