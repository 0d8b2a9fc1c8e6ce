"""A second host for the core: diffusers models, so that it can be compared with the authors' code.

Same core, same methods; here is only what a host has to tell: where the sites are, what time it is,
and whose rows a batch holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from session_bench import COND, UNCOND
from stepcache.cache_core.approximators import CopyBranch, FrequencyDelta
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.methods import Method
from stepcache.cache_core.report import Report
from stepcache.cache_core.rules import assign, plans_of
from stepcache.cache_core.session import Session
from stepcache.cache_core.site_call import SiteCall
from stepcache.cache_core.sites import Site, SiteKind
from stepcache.cache_core.streams import StreamKey
from torch import nn

Layers = Mapping[str, SiteKind]
"""Regular expressions for whole module paths, and what is computed there."""


class DiffusersHost:
    """One run of some methods on one model, whose modules they hold until the run is left.

    Args:
        model: the network; on a step that skips the deep branch it has to be a UNet.
        methods: what acts, in the core's words.
        timesteps: one per step on the 0 … 1000 scale, falling.
        layers: where the sites are.
        branches: streams in the order of the batch, one equal part each.
    """

    def __init__(
        self,
        model: nn.Module,
        methods: Sequence[Method],
        timesteps: Sequence[float],
        layers: Layers,
        branches: Sequence[StreamKey] = (UNCOND, COND),
    ) -> None:
        self._model = model
        self._branches = self._streams = tuple(branches)
        self._modules = _modules(model, layers)
        others = (Site(SiteKind.GUIDANCE, 0), *_branch_sites(model))
        rules = [rule for method in methods for rule in method.rules()]
        self._assigned = assign(rules, (*self._modules, *others))
        steps = len(timesteps)
        timeline = Timeline(
            (*timesteps, -1.0), tuple(timesteps), tuple(step / steps for step in range(steps))
        )
        plans = plans_of(set(self._assigned.values()), timeline)
        strips = {rule.where.kind.value: plan.strip for rule, plan in plans.items()}
        names = [method.describe() for method in methods]
        self.report = Report(names, type(model).__name__, "", strips, timeline, {}, [])
        self.session = Session(self._assigned, timeline, self.report)
        self._exit = ExitStack()

    def __enter__(self) -> DiffusersHost:
        for site, module in self._modules.items():
            if site in self._assigned:
                module.__dict__["forward"] = partial(self._answer, site, module.forward)
                self._exit.callback(module.__dict__.pop, "forward")
        return self

    def __exit__(self, *error: object) -> None:
        self._exit.close()
        self.session.finish("finished")

    def __call__(self, t: float, **inputs: Any) -> torch.Tensor:
        """One evaluation of all branches: the network's output, as if nothing had been skipped."""
        self.session.start_evaluation(t)
        site = self._site_of(SiteKind.GUIDANCE)
        if site is None or len(self._branches) != 2:
            return self.call(self._branches, **inputs)
        site_call = SiteCall(self.session, site, [COND])
        what = self.session.rule_of(site).what
        assert isinstance(what, CopyBranch | FrequencyDelta)
        kept = COND if what.kept == "cond" else UNCOND
        place = self._branches.index(kept)
        if not site_call.reuses():
            output = self.call(self._branches, **inputs)
            halves = output.chunk(2)
            site_call.record((halves[place], halves[1 - place]))
            return output
        given = self.call((kept,), **{name: _half(v, place) for name, v in inputs.items()})
        left_out = site_call.recall(given)
        assert isinstance(left_out, torch.Tensor)
        return torch.cat([given, left_out] if place == 0 else [left_out, given])

    def call(self, streams: Sequence[StreamKey], **inputs: Any) -> torch.Tensor:
        """Ask the network for some streams only, within the evaluation that has begun."""
        self._streams = tuple(streams)
        site = self._site_of(SiteKind.DEEP_BRANCH)
        if site is None:
            return self._forward(**inputs)
        site_call = SiteCall(self.session, site, streams)
        branch = _DeepBranch(self._model, site.index)
        if site_call.reuses():
            deep = site_call.recall()
            assert isinstance(deep, torch.Tensor)
            return branch.shallow_forward(deep=deep, **inputs)
        with branch.observed(site_call.record):
            return self._forward(**inputs)

    def _forward(self, **inputs: Any) -> torch.Tensor:
        return self._model(**inputs, return_dict=False)[0]

    def _answer(self, site: Site, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        call = SiteCall(self.session, site, self._streams)
        return call.run(lambda: forward(*args, **kwargs))

    def _site_of(self, kind: SiteKind) -> Site | None:
        return next((site for site in self._assigned if site.kind is kind), None)


class _DeepBranch:
    """A UNet cut below one skip connection, its blocks numbered from the outside."""

    def __init__(self, unet: Any, index: int) -> None:
        self._unet = unet
        self._live_inputs = _input_blocks(unet)[: index + 1]
        outputs = _output_blocks(unet)
        entry = len(outputs) - 1 - index
        self._live_outputs = outputs[entry:]
        before = outputs[entry - 1] if entry else [unet.mid_block.resnets[-1]]
        self._channels = before[0].out_channels

    def observed(self, record: Callable[[torch.Tensor], None]) -> Any:
        """Hand over the tensor that enters the live output blocks, without the skip beside it."""
        entry = self._live_outputs[0][0]
        return entry.register_forward_pre_hook(
            lambda module, args: record(args[0][:, : self._channels])
        )

    def shallow_forward(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        deep: torch.Tensor,
    ) -> torch.Tensor:
        """The UNet's answer from the live blocks and what came from below them before."""
        unet = self._unet
        time = unet.time_embedding(unet.time_proj(timestep.expand(len(sample))).to(sample.dtype))
        run = partial(_run, time=time, context=encoder_hidden_states)
        skips = [sample]
        for block in self._live_inputs:
            skips.append(run(block, skips[-1]))
        h = deep
        for block in self._live_outputs:
            h = run(block, torch.cat([h, skips.pop()], dim=1))
        return unet.conv_out(unet.conv_act(unet.conv_norm_out(h)))


def _run(
    block: Sequence[nn.Module], h: torch.Tensor, time: torch.Tensor, context: torch.Tensor
) -> torch.Tensor:
    for layer in block:
        if isinstance(layer, ResnetBlock2D):
            h = layer(h, time)
        elif isinstance(layer, Transformer2DModel):
            h = layer(h, encoder_hidden_states=context, return_dict=False)[0]
        else:
            h = layer(h)
    return h


def _input_blocks(unet: Any) -> list[list[Any]]:
    blocks = [[unet.conv_in]]
    for down in unet.down_blocks:
        blocks += _layers(down)
        blocks += [[sampler] for sampler in down.downsamplers or ()]
    return blocks


def _output_blocks(unet: Any) -> list[list[Any]]:
    blocks: list[list[Any]] = []
    for up in unet.up_blocks:
        blocks += _layers(up)
        blocks[-1] += up.upsamplers or ()
    return blocks


def _layers(block: Any) -> list[list[Any]]:
    if not hasattr(block, "attentions"):
        return [[resnet] for resnet in block.resnets]
    return [list(pair) for pair in zip(block.resnets, block.attentions, strict=True)]


def _branch_sites(model: nn.Module) -> list[Site]:
    count = len(_input_blocks(model)) if hasattr(model, "down_blocks") else 0
    return [Site(SiteKind.DEEP_BRANCH, index) for index in range(count)]


def _modules(model: nn.Module, layers: Layers) -> dict[Site, nn.Module]:
    modules: dict[Site, nn.Module] = {}
    count = dict.fromkeys(SiteKind, 0)
    for path, module in model.named_modules():
        for pattern, kind in layers.items():
            if re.fullmatch(pattern, path):
                modules[Site(kind, count[kind], path)] = module
                count[kind] += 1
    return modules


def _half(value: Any, place: int) -> Any:
    """One branch's rows of an input; what has no rows belongs to both."""
    is_batch = isinstance(value, torch.Tensor) and value.ndim > 0
    return value.chunk(2)[place] if is_batch else value
