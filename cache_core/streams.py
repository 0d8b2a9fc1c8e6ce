"""Whose value it is: one key per conditioning stream of a model call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace


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
        weights: which weights it is asked with, e.g. the strengths of its LoRA hooks. No part of
            the identity: a stream whose weights change is the same one, with nothing to reuse.
    """

    cond: int
    uuid: Hashable
    window: tuple[int, ...] | None = None
    signature: Hashable = ()
    layout: Hashable = ()
    ordinal: int = 0
    repeat: int = 0
    weights: Hashable = field(default=(), compare=False)


class StreamCounter:
    """Numbers repeated streams within one evaluation."""

    def __init__(self) -> None:
        self._seen: Counter[StreamKey] = Counter()

    def start_evaluation(self) -> None:
        """Forget what was seen: a new evaluation begins."""
        self._seen.clear()

    def number(self, keys: Sequence[StreamKey]) -> tuple[StreamKey, ...]:
        """The same keys with their ordinals filled in, in order."""
        numbered: list[StreamKey] = []
        for key in keys:
            numbered.append(replace(key, ordinal=self._seen[key]))
            self._seen[key] += 1
        return tuple(numbered)
