"""Classifier-free guidance with one branch: the other one is left out and answered from memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch

from ...session import Session
from ...site_call import SiteCall
from ...sites import Site
from ...streams import StreamKey
from ..compatibility.lora_hooks import change_during_run, weights_of
from .branches import ANSWERED_FOR, Branches, Conds, Predict
from .latent_parts import PASS_KEY, UNKNOWN_PART, Pass, signature_of

COND, UNCOND = 0, 1
"""Positions of the branches in the host's list of conditionings."""

KEEPS_COND = (
    "the conditional branch finishes the picture instead of the unconditional one, because more "
    "than one prompt tells them apart (an image, a ControlNet, areas), or because what is frozen "
    "may have to be computed again (context windows, a LoRA on a schedule)"
)

_TEXT = frozenset({
    "cross_attn", "pooled_output", "attention_mask", "t5xxl_ids", "t5xxl_weights",
    "conditioning_llama3", "conditioning_lyrics", "model_conds", "uuid",
})  # fmt: skip
"""What a prompt alone makes different in a conditioning entry."""

BOTH = "guidance by two branches"
"""What is computed where one branch cannot be left out, for the note about it."""


class Guidance:
    """Both branches' denoised latents in one evaluation, of which one may come from the session.

    What is carried from step to step is network output. The host answers in denoised latents, which
    are ``a(sigma) x + b(sigma) output`` for every kind of prediction; x is the same for both
    branches, so their difference divided by b is that of their outputs, and the branch that runs
    may count as zero.

    Args:
        stream: as whose the difference is kept.
        conds: two lists of conditioning entries, cond and uncond.
        x: noisy latents, shape (batch, channels, …).
        sigma: noise level per row, shape (batch,).
        model: the host's model.
        is_lasting: whether what layers have frozen serves every call to come.
        note: takes a remark for the report.
    """

    def __init__(
        self,
        session: Session,
        site: Site,
        stream: StreamKey,
        conds: Conds,
        x: torch.Tensor,
        sigma: torch.Tensor,
        model: Any,
        is_lasting: bool,
        note: Callable[[str], None],
    ) -> None:
        self._conds, self._x = conds, x
        self._call = SiteCall(session, site, [stream])
        self._call.reuses()
        rule = session.rule_of(site)
        self._owner, what = rule.owner, cast("Any", rule.what)
        self._kept = COND if what.kept == "cond" else UNCOND
        if self._kept == UNCOND and not _may_finish(conds, is_lasting):
            self._kept = COND
            note(KEEPS_COND)
        self._left_out = UNCOND if self._kept == COND else COND
        if sigma.shape not in ((1,), x.shape[:1]) or not sigma.is_floating_point():
            raise ValueError(f"noise levels of shape {tuple(sigma.shape)} and {sigma.dtype}")
        self._slope = _slope(model.model_sampling, sigma, x)
        self.is_alone = False
        """Whether one branch was asked for."""

    def predict(self, predict: Predict, branches: Branches) -> list[torch.Tensor]:
        """What the host answers, where it may be to one branch only.

        Args:
            predict: asks the host; a missing list leaves that branch out.
            branches: asks for both or for one of them.
        """
        reuses = self._call.decision.reuse
        if reuses and branches.may_leave_out:
            answers = branches.one(predict, self._conds, self._left_out)
            if answers is not None:
                self.is_alone = True
                return answers
        if reuses:
            self._call.force_compute(ANSWERED_FOR)
        return self.both(predict, branches)

    def both(self, predict: Predict, branches: Branches) -> list[torch.Tensor]:
        """What the host answers to both branches; arguments as for `predict`."""
        return branches.both(predict, self._conds, self._owner)

    def joined(self, answers: list[torch.Tensor]) -> list[torch.Tensor]:
        """Both branches' answers, given what was asked; what was computed is kept."""
        kept = answers[self._kept]
        if self.is_alone:
            zero = torch.zeros_like(self._x)
            difference: Any = self._call.recall(given=zero)
            answers[self._left_out] = (kept + difference * self._slope).to(self._x.dtype)
            return answers
        difference = (answers[self._left_out] - kept) / self._slope
        value = (torch.zeros_like(difference), difference)
        self._call.record(value)
        return answers


def stream_of(conds: Conds, x: torch.Tensor, sigma: float, options: Mapping[str, Any]) -> StreamKey:
    """As whose a difference of branches is kept: that of the prompts of this noise level."""
    active = [[entry for entry in entries if is_active(entry, sigma)] for entries in conds]
    current: Pass = options[PASS_KEY]
    return StreamKey(
        cond=UNCOND,
        uuid=tuple(tuple(entry.get("uuid") for entry in entries) for entries in active),
        window=current.window.frames if current.window is not None else None,
        signature=signature_of(options),
        layout=(tuple(x.shape), x.dtype, x.device),
        doubt="" if current.latent is not None else UNKNOWN_PART,
        weights=tuple(
            tuple(weights_of(entry.get("hooks")) for entry in entries) for entries in active
        ),
    )


def is_active(entry: Mapping[str, Any], sigma: float) -> bool:
    """Whether a conditioning entry takes part at this noise level (prompt scheduling)."""
    return entry.get("timestep_end", 0.0) <= sigma <= entry.get("timestep_start", math.inf)


def _slope(model_sampling: Any, sigma: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """b(sigma) of denoised = a(sigma) x + b(sigma) output, shape (batch, 1, …); never zero."""
    zero = x.new_zeros((sigma.shape[0], *(1 for _ in x.shape[1:])))
    slope = model_sampling.calculate_denoised(sigma, zero + 1, zero)
    # At sigma 0 the output does not matter and both branches answer x: any slope but 0 will do.
    return torch.where(slope == 0, torch.ones_like(slope), slope)


def network_outputs(
    model_sampling: Any, x: torch.Tensor, sigma: torch.Tensor, *denoised: torch.Tensor
) -> list[torch.Tensor]:
    """What the network said, given the denoised latents that the host made of it each time."""
    kept = model_sampling.calculate_denoised(sigma, torch.zeros_like(x), x)
    slope = _slope(model_sampling, sigma, x)
    return [((each - kept) / slope).float() for each in denoised]


def _may_finish(conds: Conds, is_lasting: bool) -> bool:
    """Whether the null branch may finish the picture by itself, with what both have frozen.

    Not where a frozen value may have to be computed anew: the null branch would compute its own.
    """
    is_lasting = is_lasting and not change_during_run(conds)
    return is_lasting and _tell_apart_by_text_only(conds)


def _tell_apart_by_text_only(conds: Conds) -> bool:
    """Whether each branch is one prompt, and nothing but the text makes them differ.

    Otherwise the null branch cannot finish the picture: it lacks the control, the area or the image
    that only the other side has.
    """
    if any(len(entries) != 1 for entries in conds):
        return False
    cond, uncond = (entries[0] for entries in conds)
    others = (set(cond) | set(uncond)) - _TEXT
    return all(_is_same(cond.get(name), uncond.get(name)) for name in others)


def _is_same(one: Any, other: Any) -> bool:
    # Tensors by identity: nodes hand one image to both sides, and comparing values would wait for
    # the device.
    return one is other or (isinstance(one, (bool, int, float, str)) and one == other)
