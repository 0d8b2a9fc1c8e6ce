"""Node "Speed Audit"."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io, ui

import nodes as host_nodes

from .. import audit, pictures
from ..cache_core.methods import SmoothCache
from . import inputs
from .method_nodes import METHOD_NODES
from .node import Node
from .pab import ApplyPAB

NAME = "Speed Audit"

Latent = dict[str, Any]

NOT_SUGGESTED = (SmoothCache,)
"""It follows a schedule that was made beforehand, which seconds of layers cannot choose."""
SUGGESTED = {
    method.name: node for method, node in METHOD_NODES.items() if method not in NOT_SUGGESTED
}


def suggestions() -> list[audit.Suggestion]:
    """What may be recommended: methods as their nodes come, and whole blocks, which suit models
    whose attention is fused with other layers."""
    as_they_come = [audit.Suggestion(node.as_it_comes()) for node in SUGGESTED.values()]
    blocks = ApplyPAB.as_it_comes(block=2)
    return [*as_they_come, audit.Suggestion(blocks, "block 2")]


class SpeedAudit(Node):
    """Samples a latent as KSampler does, and finds out where its time goes."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StepCacheSpeedAudit",
            display_name=NAME,
            category=inputs.CATEGORY,
            description=(
                "Takes the place of KSampler for one run: draws the same picture, finds out "
                "beside it where the time goes, and says in at most five lines what would make it "
                "faster on this machine, and by how much."
            ),
            search_aliases=["profile", "benchmark", "bottleneck", "why slow", "optimize"],
            inputs=[
                io.Model.Input(
                    "model", tooltip="As it goes into KSampler, with everything attached to it."
                ),
                *inputs.conditioning(),
                io.Latent.Input("latent_image", tooltip="As on KSampler: what it starts from."),
                *inputs.sampling(
                    "As on KSampler; it makes no difference to the speed.",
                    "As many as you will use. The audit takes about two to four runs.",
                ),
                io.Boolean.Input(
                    "measure_cache",
                    default=True,
                    tooltip=(
                        "Sample some more with what promises most, and without the nodes of this "
                        "pack, so that gains are measured by turns. Off: they are estimated from "
                        "single evaluations and the seconds of each kind of layer."
                    ),
                ),
            ],
            outputs=[
                io.Latent.Output(display_name="latent"),
                io.String.Output(display_name="text"),
                io.String.Output(display_name="json"),
                io.Image.Output(display_name="picture"),
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
        seed: int,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        denoise: float = 1.0,
        measure_cache: bool = True,
    ) -> io.NodeOutput:
        def sample(
            which: Any, steps: int, last: int | None = None, sampler: str | None = None
        ) -> Latent:
            return host_nodes.common_ksampler(
                which, seed, steps, cfg, sampler or sampler_name, scheduler, positive, negative,
                latent_image, denoise=denoise, last_step=last,
            )[0]  # fmt: skip

        latent, found = audit.audited(model, sample, steps, suggestions(), may_draw=measure_cache)
        text = audit.text_of(found)
        drawn = pictures.to_image(audit.drawn(found))
        shown = {**ui.PreviewImage(drawn, cls=cls).as_dict(), "text": (text,)}
        return io.NodeOutput(latent, text, found.to_json(), drawn, ui=shown)
