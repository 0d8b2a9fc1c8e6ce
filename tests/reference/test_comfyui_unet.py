"""ComfyUI's UNet under our methods equals diffusers' UNet, with its weights, under the authors'."""

from __future__ import annotations

from functools import partial

import authors
import comfyui
import pytest
import tgate.tgate_utils as tgate
import tiny
import torch
import twins
from diffusers_fastercache import DiffusersFasterCache
from parity import Table
from stepcache.cache_core.approximators import Constant
from stepcache.cache_core.methods import PAB, DeepCache, SmoothCache, TGate
from stepcache.cache_core.schedules import TimestepRange

each_layout = pytest.mark.parametrize("layout", twins.LAYOUTS)
LAYOUT = "SDXL order"
"""For methods that do not care where in the network attention is: the cheaper one."""

ON = "ComfyUI's UNet, float32"


def _asking(predict: tiny.Predict) -> comfyui.Ask:
    return lambda call: predict(
        float(call.timestep[0]), sample=call.x, timestep=call.timestep[0],
        encoder_hidden_states=call.context,
    )  # fmt: skip


def _plain(reference: torch.nn.Module) -> comfyui.Ask:
    return _asking(tiny.plain(reference))


@pytest.mark.parametrize(
    ("layout", "interval", "branch"),
    [
        *(("SD order", 3, branch) for branch in range(9)),
        *(("SDXL order", 3, branch) for branch in (0, 2, 5, 8)),
        *((layout, 2, 0) for layout in twins.LAYOUTS),
    ],
)
def test_deepcache_equals_the_helper(layout: str, interval: int, branch: int, table: Table) -> None:
    model, reference = twins.unet_twins(layout)
    run = comfyui.sample(model, "sd15", 5, DeepCache(interval, branch))
    timesteps = [float(call.timestep[0]) for call in run.record.calls]
    comfyui.assert_calls_agree(
        table, ("DeepCache", authors.NAMES["DeepCache"], ON), run, _plain(reference),
        lambda: _asking(authors.deepcache(reference, timesteps, interval, branch)[0]),
    )  # fmt: skip


@each_layout
@pytest.mark.parametrize(("self_range", "cross_range"), [(2, 3), (3, 6)])
def test_pab_equals_the_hooks(layout: str, self_range: int, cross_range: int, table: Table) -> None:
    model, reference = twins.unet_twins(layout)
    window = (100, 850)
    run = comfyui.sample(model, "sd15", 12, PAB(self_range, 1, cross_range, TimestepRange(*window)))
    switch_on = partial(authors.pab_on_images, reference, self_range, cross_range, window)
    comfyui.assert_calls_agree(
        table, ("PAB", authors.NAMES["diffusers"], ON), run, _plain(reference),
        lambda: _asking(switch_on()),
    )  # fmt: skip


@pytest.mark.parametrize("row", ["101010101011", "100100010101"])
def test_smoothcache_equals_the_helper(row: str, table: Table) -> None:
    model, reference = twins.unet_twins(LAYOUT)
    method = SmoothCache(((tiny.SELF, None, tuple(flag == "1" for flag in row)),))
    run = comfyui.sample(model, "sd15", len(row), method)
    comfyui.assert_calls_agree(
        table, ("SmoothCache", authors.NAMES["dit-smoothcache"], ON), run, _plain(reference),
        lambda: _asking(authors.smoothcache(reference, {"attn1": row})),
    )  # fmt: skip


@pytest.mark.parametrize("settings", [(5, 1, 2, 1), (4, 0, 1, 1), (7, 2, 2, 5)], ids=str)
def test_tgate_equals_the_attention_of_the_loader(
    settings: tuple[int, int, int, int], table: Table
) -> None:
    """The loader's own loop is compared elsewhere; here its steps follow ComfyUI's calls."""
    gate, warm_up, before, after = settings
    model, reference = twins.unet_twins(LAYOUT)
    run = comfyui.sample(model, "sd15", 10, TGate(gate, warm_up, before, after))
    rows = [len(call.x) for call in run.record.calls]
    assert rows == [2] * gate + [1] * (10 - gate)
    steps = iter(range(10))

    def ask(call: twins.Call) -> torch.Tensor:
        cross, own, keeps_shape = tgate.tgate_scheduler(next(steps), gate, before, after, warm_up)
        tgate.register_forward(reference, keep_shape=keeps_shape, ca_kward=cross, sa_kward=own)
        return _plain(reference)(call)

    comfyui.assert_calls_agree(
        table, ("T-GATE 2", authors.TGATE_2, ON), run, _plain(reference), lambda: ask
    )


def test_fastercache_equals_the_hook_of_the_whole_model(table: Table) -> None:
    """Of a UNet's layers diffusers hooks none: only the branches of guidance are compared."""
    model, reference = twins.unet_twins(LAYOUT)
    method = DiffusersFasterCache(**comfyui.GUIDANCE, self_attention=1, weight=Constant())
    run = comfyui.sample(model, "sd15", 12, method)
    timesteps = [float(call.timestep[0]) for call in run.record.calls]
    switch_on = partial(
        authors.fastercache, reference, Constant(), timesteps, tensor_format="BCHW",
        **comfyui.GUIDANCE_CONFIG,
    )  # fmt: skip

    def asking(predict: tiny.Predict) -> comfyui.Ask:
        # The hook halves "timestep", but not "sample"; what is positional it halves too.
        return lambda call: predict(
            float(call.timestep[0]), call.x, timestep=call.timestep,
            encoder_hidden_states=call.context,
        )  # fmt: skip

    comfyui.assert_branches_agree(
        table, ("FasterCache", authors.NAMES["diffusers"], ON), run,
        asking(tiny.plain(reference)), lambda: asking(switch_on()),
    )  # fmt: skip
