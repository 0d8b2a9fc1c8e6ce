"""Whose value it is: one key per conditioning stream of a model call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

MAX_KNOWN = 2**12
"""Streams of a run that are remembered at once; context windows invent new ones at every step."""

Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class StreamKey:
    """Identity of one chunk of a model call's batch.

    The uuid alone is not enough: area prompts give cond and uncond the same uuid, perturbed
    attention and skip-layer guidance repeat the cond's uuid in a second pass, context windows
    repeat both.

    Args:
        cond: index of the conditioning list (0 cond, 1 uncond, more for multi-branch guiders).
        uuid: the host's identity of the conditioning entry.
        window: frame indices of a context window, None without one.
        signature: what makes this pass differ from others, e.g. the attention replacements in it.
        layout: rows, shape, dtype and device of the chunk, so that no value meets another size.
        ordinal: how often this stream has already appeared in the current evaluation.
        repeat: how often the site's module has already been called in the current model call.
        doubt: why it is not known whose value it is; nothing is kept of it, nothing answers for it.
        weights: which weights it is asked with, e.g. the strengths of its LoRA hooks. No part of
            the identity: a stream whose weights change is the same one, with nothing to reuse.
        device: where its answers are asked for, where the host divides a batch among devices; None
            elsewhere. No part of the identity: a branch may move from device to device.
    """

    cond: int
    uuid: Hashable
    window: tuple[int, ...] | None
    signature: Hashable
    layout: Hashable
    ordinal: int = 0
    repeat: int = 0
    doubt: str = ""
    weights: Hashable = field(kw_only=True, compare=False)
    device: Any = field(default=None, kw_only=True, compare=False)
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Reckoned once: a layer looks its streams up several times per evaluation.
        compared = (
            self.cond, self.uuid, self.window, self.signature, self.layout, self.ordinal,
            self.repeat, self.doubt,
        )  # fmt: skip
        object.__setattr__(self, "_hash", hash(compared))

    def __hash__(self) -> int:
        return self._hash


class StreamCounter:
    """Numbers repeated streams within one evaluation, and has one object of every stream of a run.

    What is one object is found in dictionaries without comparing all that it holds.
    """

    def __init__(self) -> None:
        self._seen: Counter[StreamKey] = Counter()
        self._known: dict[Hashable, StreamKey] = {}
        self._sized: dict[Hashable, tuple[tuple[StreamKey, ...], tuple[StreamKey, ...]]] = {}

    def start_evaluation(self) -> None:
        """Forget what was seen: a new evaluation begins."""
        self._seen.clear()
        if len(self._known) + len(self._sized) > MAX_KNOWN:
            self._known.clear()
            self._sized.clear()

    def number(self, keys: Sequence[StreamKey]) -> tuple[StreamKey, ...]:
        """The same keys with their ordinals filled in, in order."""
        numbered: list[StreamKey] = []
        for key in keys:
            numbered.append(self._only(replace(key, ordinal=self._seen[key])))
            self._seen[key] += 1
        return tuple(numbered)

    def sized(
        self, streams: tuple[StreamKey, ...], shapes: Shapes, axis: int, is_joint: bool, repeat: int
    ) -> tuple[StreamKey, ...]:
        """The streams of a model call as one module is asked for them.

        Args:
            streams: those of the call, in batch order.
            shapes: of the tensors that the module was given, streams first. They belong to the
                identity: some patches change the number of tokens in the middle of a run.
            axis: which one of them is the batch.
            is_joint: whether what the module returns is as long as all that it was given.
            repeat: how often it has already been called in this model call.
        """
        # By identity, as every layer asks: there is one object of each stream, and of its weights.
        # What is found keeps its streams, so that no others get their identity.
        asked = (tuple(map(id, streams)), shapes, axis, is_joint, repeat)
        found = self._sized.get(asked)
        if found is None:
            size = _size(shapes, axis, is_joint, len(streams))
            sized = tuple(
                self._only(replace(stream, layout=(stream.layout, size), repeat=repeat))
                for stream in streams
            )
            found = self._sized[asked] = streams, sized
        return found[1]

    def doubted(self, streams: tuple[StreamKey, ...], doubt: str) -> tuple[StreamKey, ...]:
        """The same streams where it is not known whose values they are."""
        return tuple(self._only(replace(stream, doubt=doubt)) for stream in streams)

    def _only(self, key: StreamKey) -> StreamKey:
        """The one object of a stream; of what is no part of its identity, too."""
        return self._known.setdefault((key, key.weights, key.device), key)


def _size(shapes: Shapes, axis: int, is_joint: bool, count: int) -> Hashable:
    """Rows per stream and shapes, the same whether streams share a batch or not."""
    long = [tuple(shape) for shape in shapes if len(shape) > max(axis, 2)]
    if not long:
        return ()
    # Where the prompt is only attended to, its length says nothing about the value. Rotary
    # embeddings have more axes than streams, and in some hosts the batch on another one.
    told = [shape for shape in long if len(shape) == len(long[0])] if is_joint else long[:1]
    return long[0][axis] / count, tuple(shape[:axis] + shape[axis + 1 :] for shape in told)
