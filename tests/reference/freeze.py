"""Writes down what references did, so that every machine can compare without them.

    python scripts/freeze_references.py

Needs the references, but no ComfyUI. Per case one file in ``fixtures/``: for a few layers what they
returned at every step of a run under the reference, and a strip that says where the reference
computed that (C) and where it did not (R). A replay hands the computed values to a session, which
has to return the others by itself. Outputs are cut to a few numbers of every row, because what is
done to them is done number by number; those of the whole network are cut to the pictures of one
channel. ``tests/unit/test_frozen_parity.py`` says the same settings in our words.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import authors
import pipelines
import tgate
import tiny
import torch
from safetensors.torch import save
from stepcache.cache_core.approximators import Constant
from torch import nn

FIXTURES = Path(__file__).with_name("fixtures")
GUIDANCE = "guidance_0"

TWENTY, SEVEN, TWELVE = tiny.ddim_timesteps(20), tiny.ddim_timesteps(7), tiny.ddim_timesteps(12)


@dataclass
class Watched:
    """What one layer did: an output per step, C or R per step, and how many rows there were."""

    outputs: list[torch.Tensor] = field(default_factory=list)
    strip: str = ""
    computed: bool = False

    def see(self, output: torch.Tensor) -> None:
        """One step is over."""
        self.outputs.append(output.detach().clone().contiguous())
        self.strip += "C" if self.computed else "R"
        self.computed = False

    def saw_computing(self, *about: Any) -> None:
        """The layer's innermost part ran."""
        self.computed = True

    @property
    def branches(self) -> str:
        """2 or 1 per step: whether both branches of guidance ran; both do at first."""
        return "".join("2" if len(o) == len(self.outputs[0]) else "1" for o in self.outputs)


Watch = Callable[[nn.Module], dict[str, Watched]]


@dataclass(frozen=True)
class Frozen:
    """One case: who is run how, and which layers are watched.

    Args:
        run: samples with the reference; is given what begins to watch a network.
        timesteps: of the run.
    """

    run: Callable[[Callable[[nn.Module], None]], object]
    timesteps: Sequence[int]
    watch: Watch


def attentions(**paths: str) -> Watch:
    """Watch attention layers, given their names in the fixture; projections tell of computing."""

    def watch(network: nn.Module) -> dict[str, Watched]:
        found = {}
        for name, path in paths.items():
            layer, watched = network.get_submodule(path), Watched()
            layer.get_submodule("to_q").register_forward_hook(watched.saw_computing)
            layer.register_forward_hook(lambda m, a, out, w=watched: w.see(out[:, :2, :3]))
            found[name] = watched
        return found

    return watch


def with_network(watch: Watch) -> Watch:
    """Watch the whole network too, in float32 as its spectra are; one channel of the pictures."""

    def watch_all(network: nn.Module) -> dict[str, Watched]:
        whole = Watched()
        network.register_forward_hook(lambda m, a, out: whole.see(out[0][:, :1].float()))
        return {**watch(network), GUIDANCE: whole}

    return watch_all


def entry_of_branch_4(unet: Any) -> dict[str, Watched]:
    """Watch what comes from below branch 4: the first channels that its up-layer is given."""
    watched, channels = Watched(), unet.up_blocks[1].resnets[0].out_channels
    unet.mid_block.resnets[0].register_forward_hook(watched.saw_computing)
    unet.up_blocks[1].resnets[1].register_forward_pre_hook(
        lambda module, args: watched.see(args[0][:, :channels][:, :2, :2, :3])
    )
    return {"deep_branch_4": watched}


def _sampled(
    model: tiny.Tiny, timesteps: Sequence[int], switch_on: Callable[[nn.Module], tiny.Predict]
) -> Callable[[Callable[[nn.Module], None]], object]:
    def run(watch: Callable[[nn.Module], None]) -> object:
        network = model.make()
        predict = switch_on(network)
        watch(network)
        return tiny.sample(model, predict, timesteps)

    return run


def _tgate(
    loader: Callable[[Any], Any], **settings: int
) -> Callable[[Callable[[nn.Module], None]], object]:
    def run(watch: Callable[[nn.Module], None]) -> object:
        pipe = loader(pipelines.pipeline(tiny.SD))
        watch(pipelines.network(pipe))
        return pipelines.run(pipe.tgate, tiny.SD, 12, **settings)

    return run


def _fastercache(every: int, guidance: int, attention_window: Any, guidance_window: Any) -> Any:
    return lambda network: authors.fastercache(
        network, Constant(0.3), TWENTY, tensor_format="BCFHW",
        spatial_attention_block_skip_range=every,
        spatial_attention_timestep_skip_range=attention_window,
        unconditional_batch_skip_range=guidance,
        unconditional_batch_timestep_skip_range=guidance_window,
        low_frequency_weight_update_timestep_range=(99, 641),
        high_frequency_weight_update_timestep_range=(-1, 301),
    )  # fmt: skip


_UNET = "down_blocks.0.attentions.0.transformer_blocks.0."
_UNET_ATTENTIONS = attentions(self_attention_0=f"{_UNET}attn1", cross_attention_0=f"{_UNET}attn2")
_WAN_ATTENTION = with_network(attentions(self_attention_0="blocks.0.attn1"))

CASES = {
    "pab": Frozen(
        _sampled(tiny.LATTE, TWENTY, lambda network: authors.pab(
            network, spatial_attention_block_identifiers=authors.NOT_TEMPORAL,
            **dict(zip(authors.PAB_RANGES, (2, 3, 6), strict=True)),
            **dict.fromkeys(authors.PAB_WINDOWS, (100, 800)),
        )),
        TWENTY,
        attentions(
            self_attention_0="transformer_blocks.0.attn1",
            cross_attention_0="transformer_blocks.0.attn2",
            temporal_attention_0="temporal_transformer_blocks.0.attn1",
        ),
    ),
    "fastercache": Frozen(
        _sampled(tiny.WAN, TWENTY, _fastercache(2, 5, (-1, 681), (-1, 781))),
        TWENTY, _WAN_ATTENTION,
    ),
    "fastercache_whole_run": Frozen(
        _sampled(tiny.WAN, TWENTY, _fastercache(4, 7, (-1, 1001), (-1, 1001))),
        TWENTY, _WAN_ATTENTION,
    ),
    "smoothcache": Frozen(
        _sampled(tiny.DIT, TWELVE, lambda network: authors.smoothcache(
            network, {"attn1": "100010010101", "attn1-1": "101010101011"}
        )),
        TWELVE,
        attentions(
            self_attention_0="transformer_blocks.0.attn1",
            self_attention_1="transformer_blocks.1.attn1",
        ),
    ),
    "deepcache": Frozen(
        _sampled(
            tiny.SD, SEVEN, lambda network: authors.deepcache(network, SEVEN, 3, 4)[0]
        ),
        SEVEN, entry_of_branch_4,
    ),
    "tgate_2": Frozen(
        _tgate(tgate.TgateSDLoader, gate_step=7, warm_up=2, sp_interval=2, fi_interval=5),
        TWELVE, _UNET_ATTENTIONS,
    ),
    "tgate_1": Frozen(
        _tgate(
            lambda pipe: authors.tgate_1().TgateSDLoader(
                pipe, gate_step=5, num_inference_steps=12
            ),
            gate_step=5,
        ),
        TWELVE, _UNET_ATTENTIONS,
    ),
}  # fmt: skip


def observe(name: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Run a case; its tensors by layer and step, and what else its file holds."""
    case = CASES[name]
    found: dict[str, Watched] = {}
    with torch.no_grad():
        case.run(lambda network: found.update(case.watch(network)))
    strips = {layer: seen.strip for layer, seen in found.items() if layer != GUIDANCE}
    tensors = {
        f"{layer}/{step:02}": output
        for layer, watched in found.items()
        for step, output in enumerate(watched.outputs)
    }
    branches = next(iter(found.values())).branches
    about = {"timesteps": list(case.timesteps), "branches": branches, "strips": strips}
    return tensors, {"run": json.dumps(about)}


def write() -> None:
    """Write every fixture anew."""
    torch.set_num_threads(1)
    FIXTURES.mkdir(exist_ok=True)
    for name in CASES:
        tensors, about = observe(name)
        (FIXTURES / f"{name}.safetensors").write_bytes(save(tensors, about))
        print(f"{name}: {len(tensors)} tensors, {about['run']}")
