"""The host's hooks: LoRAs that belong to a prompt, and strengths that change during a run."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import torch


def weights_of(hooks: Any) -> Hashable:
    """What tells the weights under these hooks from others: each hook and its strength now.

    Args:
        hooks: the host's ``HookGroup``, or None.
    """
    return frozenset((hook.hook_ref, hook.strength) for hook in hooks.hooks) if hooks else ()


def change_during_run(conds: Sequence[Any]) -> bool:
    """Whether a hook of these conditionings changes its strength during the run."""
    groups = (entry.get("hooks") for entries in conds for entry in entries)
    return any(
        len(hook.hook_keyframe.keyframes) > 1 for group in groups if group for hook in group.hooks
    )


def advance(
    model: Any, conds: Sequence[Any], sigma: torch.Tensor, model_options: dict[str, Any]
) -> None:
    """Set the strengths for this noise level, which the host is about to do.

    Doing it twice is doing it once: hooks remember the noise level that they were last set for.
    """
    for group in {
        id(group): group
        for entries in conds
        for entry in entries or ()
        if (group := entry.get("hooks"))
    }.values():
        model.current_patcher.prepare_hook_patches_current_keyframe(sigma, group, model_options)
