"""How a site's value is reached inside the host's modules. Data; intercept/layers.py acts on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModuleForward:
    """The module's forward returns the value: everything in it is saved.

    Args:
        batch_axis: axis of the batch in what it returns.
        followed_by: names of patches that, where other nodes attached all of them, have to see the
            layer compute: one that reads its queries, or two that change its tokens on the way in
            and back on the way out.
    """

    batch_axis: int = 0
    followed_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InlinedLayer:
    """A block calls the layer's parts itself; the value is what comes out of the last of them.

    Where the value is reused, the block still runs, but its `inputs` answer zeros without
    computing, its `passed` hand on what they get, scaled dot-product attention is left out, and
    `outputs` answer the value.

    Args:
        inputs: linear projections, as paths below the block.
        outputs: what the value leaves by, in the same form. One that a block does not have, or
            does not call, is no part of the value.
        passed: normalisations of queries and keys.
        unused: arguments of the block that serve this layer only, such as rotary embeddings; None
            where the value is reused.
        has_attention: whether the layer is attention.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    passed: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    has_attention: bool = True


@dataclass(frozen=True, slots=True)
class SdpaOnly:
    """Only scaled dot-product attention: its projections are fused with the feed-forward.

    Args:
        unused: as for `InlinedLayer`.
        followed_by: as for `ModuleForward`.
    """

    unused: tuple[str, ...] = ()
    followed_by: tuple[str, ...] = ("attn1_patch", "attn1_output_patch")


@dataclass(frozen=True, slots=True)
class BlockResidual:
    """A whole block; the value is what it adds to its hidden states.

    Adding keeps what earlier blocks computed anew. Holding the block's output instead would throw
    away every block before it.

    Args:
        hidden_states: names of the block's arguments that it returns changed, in the order of
            its outputs; one name where it returns a tensor.
        writes_in_place: whether it changes these arguments themselves.
        batch_axis: axis of the batch in them.
        read_by: modules of the network by which the host, between blocks, makes something of
            them and writes it into them: then every block is stored by itself.
    """

    hidden_states: tuple[str, ...]
    writes_in_place: bool = False
    batch_axis: int = 0
    read_by: tuple[str, ...] = ()


Access = ModuleForward | InlinedLayer | SdpaOnly | BlockResidual
