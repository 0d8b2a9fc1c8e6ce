"""DeepCache's site: everything below one skip connection of a UNet.

The host's forward is left alone. On a shallow step the layers of the deep blocks return what they
are given, the skips are zero-channel slices, and what other nodes attached there is taken out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from ...session import Compute, Session
from ...site_call import SiteCall
from ...sites import Site
from ...streams import StreamKey
from ..model_call import ModelCall
from .module_swap import ModuleSwap, opaque

BlockPatch = Callable[..., Any]


def swap_deep_branches(
    swap: ModuleSwap,
    call: ModelCall,
    session: Session,
    streams: Sequence[StreamKey],
    sites: Sequence[Site],
    unet: nn.Module,
) -> None:
    """Arrange one call so that every deep branch is recorded or recalled.

    Branch b keeps ``h`` as it enters ``output_blocks[entry]``, before the skip is joined, with
    entry = number of output blocks - 1 - b; live are ``input_blocks[:b + 1]`` and
    ``output_blocks[entry:]``.
    """
    reused: list[SiteCall] = []
    computed: dict[Site, SiteCall] = {}
    for site in sites:
        site_call = SiteCall(session, site, streams)
        if site_call.reuses():
            reused.append(site_call)
        else:
            computed[site] = site_call
    if computed:
        _observe(call, session, computed, unet)
    for site_call in reused:
        # Last, so that what is observed of deep blocks is passed by.
        _Branch(site_call.site.index, unet).skip(swap, call, site_call.recall())


def _observe(
    call: ModelCall,
    session: Session,
    computed: Mapping[Site, SiteCall],
    unet: nn.Module,
) -> None:
    """Full step: hand over ``h`` where it enters the live output blocks.

    All branches by one patch: a calibrating run has many. There each is timed from behind the last
    live input block to the first live output block.
    """
    last = len(unet.get_submodule("output_blocks")._modules) - 1
    begins = {site.index: site for site in computed}
    ends = {last - site.index: site for site in computed}
    stops: dict[Site, Callable[[], None]] = {}

    def begin(h: Any, options: dict[str, Any]) -> Any:
        site = begins.get(options["block"][1])
        if site is not None:
            stops[site] = session.measure(site)
        return h

    def end(h: Any, skip: Any, options: dict[str, Any]) -> tuple[Any, Any]:
        site = ends.get(options["block"][1])
        if site is not None:
            if site in stops:
                stops.pop(site)()
            computed[site].record(h)
        return h, skip

    patches = _patches(call)
    if session.is_measuring:
        patches["input_block_patch"] = [*patches.get("input_block_patch", []), opaque(begin)]
    patches["output_block_patch"] = [opaque(end), *patches.get("output_block_patch", [])]
    call.options = {**call.options, "patches": patches}


class _Branch:
    """One cut through a UNet."""

    def __init__(self, index: int, unet: nn.Module) -> None:
        self._inputs = tuple(unet.get_submodule("input_blocks").children())
        self._outputs = tuple(unet.get_submodule("output_blocks").children())
        self._last_live_input = index
        self._entry = len(self._outputs) - 1 - index
        middle = unet._modules.get("middle_block")
        deep = (
            *self._inputs[index + 1 :],
            *([middle] if middle is not None else []),
            *self._outputs[: self._entry],
        )
        # The host calls what a block consists of, never the block itself.
        self._layers = frozenset(layer for block in deep for layer in block.children())

    def skip(self, swap: ModuleSwap, call: ModelCall, deep: Any) -> None:
        """Shallow step: pass the deep layers by and start the live output blocks from `deep`."""
        patches = _patches(call)
        for name in ("input_block_patch", "input_block_patch_after_skip"):
            patches[name] = [self._live_only(patch) for patch in patches.get(name, [])]
        patches.pop("middle_block_after_patch", None)
        name = "forward_timestep_embed_patch"
        patches[name] = [(kind, self._live_layers_only(p)) for kind, p in patches.get(name, [])]
        users = patches.get("output_block_patch", [])

        def enter(h: Any, skip: Any, options: dict[str, Any]) -> tuple[Any, Any]:
            index = options["block"][1]
            if index < self._entry:
                # torch.cat takes a skip without channels on every host; None only on new ones.
                return h, h[:, :0]
            if index == self._entry:
                h = deep
            for patch in users:
                h, skip = patch(h, skip, options)
            return h, skip

        patches["output_block_patch"] = [opaque(enter)]
        call.options = {**call.options, "patches": patches}
        self._drop_deep_control(call)
        for layer in self._layers:
            swap.answer(layer, _pass_on)

    def _live_only(self, patch: BlockPatch) -> BlockPatch:
        """A user's input patch that acts on live blocks only."""

        def live_only(h: Any, options: dict[str, Any]) -> Any:
            return patch(h, options) if options["block"][1] <= self._last_live_input else h

        return opaque(live_only)

    def _live_layers_only(self, patch: Callable[..., Any]) -> Callable[..., Any]:
        """A user's patch that stands in for layers of live blocks only."""

        def live_only(layer: nn.Module, x: Any, *args: Any) -> Any:
            return x if layer in self._layers else patch(layer, x, *args)

        return opaque(live_only)

    def _drop_deep_control(self, call: ModelCall) -> None:
        """Blank the control residuals of deep blocks; the host pops the lists from the end."""
        control = call.control
        if control is None:
            return
        dead = {
            "input": range(self._last_live_input + 1, len(self._inputs)),
            "middle": range(1),
            "output": range(self._entry),
        }
        kept: dict[str, list[Any]] = {}
        for place, residuals in control.items():
            kept[place] = list(residuals)
            for index in dead.get(place, ()):
                if index < len(residuals):
                    kept[place][-1 - index] = None
        call.control = kept


def _pass_on(_: Compute, args: tuple[Any, ...], __: dict[str, Any]) -> Any:
    return args[0]


def _patches(call: ModelCall) -> dict[str, list[Any]]:
    return {name: list(patches) for name, patches in call.options.get("patches", {}).items()}
