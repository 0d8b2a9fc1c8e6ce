"""ComfyUI's SD3 under our FasterCache equals diffusers' SD3, with its weights, under its hook."""

from __future__ import annotations

from functools import partial

import authors
import comfyui
import tiny
import twins
from diffusers_fastercache import DiffusersFasterCache
from parity import Table
from stepcache.cache_core.approximators import Constant


def _asking(predict: tiny.Predict) -> comfyui.Ask:
    # The hook does not know the name "pooled_projections"; what is positional it halves too, if
    # anything has a name that it knows.
    return lambda call: predict(
        float(call.timestep[0]), call.x, call.context, call.pooled, timestep=call.timestep
    )


def test_fastercache_equals_the_hook_of_the_whole_model(table: Table) -> None:
    """Joint attention is not reused here, so that the hook leaves it alone too."""
    model, reference = twins.sd3_twins()
    method = DiffusersFasterCache(**comfyui.GUIDANCE, self_attention=1, weight=Constant())
    run = comfyui.sample(model, "sd3", 12, method)
    timesteps = [float(call.timestep[0]) for call in run.record.calls]
    switch_on = partial(
        authors.fastercache, reference, Constant(), timesteps, tensor_format="BCHW",
        spatial_attention_block_identifiers=("no such block",), **comfyui.GUIDANCE_CONFIG,
    )  # fmt: skip
    comfyui.assert_branches_agree(
        table, ("FasterCache", authors.NAMES["diffusers"], "ComfyUI's SD3, float32"), run,
        _asking(tiny.plain(reference)), lambda: _asking(switch_on()),
    )  # fmt: skip
