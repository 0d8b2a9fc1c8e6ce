"""Lets a rule answer for the blocks of a genuine network, through the host's own ways in.

A transformer (Wan's layout) is asked through the patches that may replace its blocks, a UNet
(Stable Diffusion's) through hooks for the length of a call: there the trunk lies between the first
convolution and the last normalisation, which have the same channels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP

from .forecast_rules import Rule

OPTIONS = 5
"""Place of the host's options among the arguments of both networks."""


def ruled(model: Any, make: Callable[[], Rule]) -> Any:
    """A clone whose blocks a rule answers for.

    Args:
        model: the host's patcher, of Wan's or Stable Diffusion's layout.
        make: makes the rule of a run.
    """
    clone = model.clone()
    runs: list[_Run] = []

    def begin(executor: Any, *args: Any, **kwargs: Any) -> Any:
        runs.append(_Run(make()))
        try:
            return executor(*args, **kwargs)
        finally:
            runs.pop()

    def ask(executor: Any, *args: Any, **kwargs: Any) -> Any:
        return runs[-1].ask(executor, args, kwargs)

    clone.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, "rule", begin)
    clone.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "rule", ask)
    return clone


class _Run:
    """One sampling run under a rule."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._step = -1

    def ask(self, executor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
        """What the network answers in one call."""
        step = step_of(args[OPTIONS])
        if step <= self._step:
            raise RuntimeError(
                f"the network is asked again in step {step}: these rules are for samplers with "
                f"one evaluation a step, and for both branches in one batch"
            )
        self._step = step
        call = _Call(self._rule, step)
        if hasattr(executor.class_obj, "input_blocks"):
            return call.through_unet(executor, args, kwargs)
        return call.through_blocks(executor, args, kwargs)


def step_of(options: dict[str, Any]) -> int:
    """The sampler's step, by the noise level in the host's options."""
    levels = options["sample_sigmas"][:-1]
    return int((levels - options["sigmas"][0]).abs().argmin())


class _Answered(Exception):
    """Ends a UNet's call: its last hidden state is known."""

    def __init__(self, hidden: torch.Tensor) -> None:
        super().__init__()
        self.hidden = hidden


class _Call:
    """One call of a network."""

    def __init__(self, rule: Rule, step: int) -> None:
        self._rule, self._step = rule, step
        self._entered: torch.Tensor | None = None
        self._arrived: torch.Tensor | None = None

    def _meet(self, block: int, hidden: torch.Tensor) -> torch.Tensor | None:
        """The last hidden state, if the rule has it.

        Args:
            block: before which this hidden state stands.
        """
        if block == 0:
            # Some blocks write into what they are given.
            self._entered = hidden.clone()
        if block != self._rule.first_blocks:
            return None
        assert self._entered is not None
        self._arrived = hidden.clone()
        added = self._rule.answer(self._step, self._entered, self._arrived)
        return None if added is None else hidden + added

    def _leave(self, hidden: torch.Tensor) -> None:
        assert self._entered is not None and self._arrived is not None
        self._rule.observe(self._step, self._entered, self._arrived, hidden - self._arrived)

    def through_blocks(
        self, executor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> torch.Tensor:
        """A transformer's call."""
        count = len(executor.class_obj.blocks)
        is_answered = False

        def block(number: int, given: dict[str, Any], host: dict[str, Any]) -> dict[str, Any]:
            nonlocal is_answered
            if is_answered:
                return {"img": given["img"]}
            hidden = self._meet(number, given["img"])
            if hidden is not None:
                is_answered = True
                return {"img": hidden}
            found = host["original_block"](given)
            if number == count - 1:
                self._leave(found["img"])
            return found

        replaced = {
            ("double_block", number): lambda given, host, number=number: block(number, given, host)
            for number in range(count)
        }
        options = {**args[OPTIONS], "patches_replace": {"dit": replaced}}
        return executor(*args[:OPTIONS], options, *args[OPTIONS + 1 :], **kwargs)

    def through_unet(
        self, executor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> torch.Tensor:
        """A UNet's call."""
        network = executor.class_obj

        def behind(block: int) -> Callable[..., None]:
            def met(module: Any, given: Any, hidden: torch.Tensor) -> None:
                answered = self._meet(block, hidden)
                if answered is not None:
                    raise _Answered(answered)

            return met

        # The host calls what is in a block, not the block.
        hooks = [
            network.input_blocks[block][-1].register_forward_hook(behind(block))
            for block in range(self._rule.first_blocks + 1)
        ]
        hooks.append(network.out.register_forward_pre_hook(lambda _, given: self._leave(given[0])))
        try:
            return executor(*args, **kwargs)
        except _Answered as answered:
            hidden = answered.hidden
        finally:
            for hook in hooks:
                hook.remove()
        return network.out(hidden)
