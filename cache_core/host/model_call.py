"""One call of the host's ``apply_model``: its arguments, and the streams in its batch."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch

from ..streams import StreamCounter, StreamKey
from .evaluation.latent_parts import PASS_KEY, UNKNOWN_PART, Pass, Shape, signature_of, window_of


class ModelCall:
    """The arguments of one ``apply_model`` call, to be read and replaced.

    The host keeps its option dict and the control residuals at positions that have moved between
    versions; both are recognised by what they hold.
    """

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.given = args, kwargs
        self.args = list(args)
        self.kwargs = dict(kwargs)

    @property
    def x(self) -> torch.Tensor:
        """The noisy latents, shape (batch, …)."""
        return self.args[0] if self.args else self.kwargs["x"]

    @property
    def options(self) -> dict[str, Any]:
        """``transformer_options``; an empty dict where the caller gave none."""
        return self._find(_is_options) or {}

    @options.setter
    def options(self, value: dict[str, Any]) -> None:
        self._replace(_is_options, value)

    @property
    def control(self) -> dict[str, list[Any]] | None:
        """ControlNet residuals by place, lists that the host pops from the end."""
        return self._find(_is_control)

    @control.setter
    def control(self, value: dict[str, list[Any]]) -> None:
        self._replace(_is_control, value)

    @property
    def sigma(self) -> torch.Tensor:
        """The noise level of every row, shape (batch,)."""
        return self.args[1] if len(self.args) > 1 else self.kwargs["t"]

    def _find(self, is_wanted: Any) -> Any:
        return next((v for v in (*self.args, *self.kwargs.values()) if is_wanted(v)), None)

    def _replace(self, is_wanted: Any, value: Any) -> None:
        self.args = [value if is_wanted(v) else v for v in self.args]
        self.kwargs = {k: value if is_wanted(v) else v for k, v in self.kwargs.items()}

    @property
    def fresh_args(self) -> list[Any]:
        """The positional arguments for one more call: the host empties the lists of control."""
        control = self.control
        if control is None:
            return self.args
        copied = {place: list(values) for place, values in control.items()}
        return [copied if value is control else value for value in self.args]

    def streams(
        self, counter: StreamCounter, whole: Shape, network: Hashable, weights: Hashable
    ) -> tuple[StreamKey, ...]:
        """The conditioning streams of this call's batch, in batch order.

        Args:
            whole: shape of the run's latents.
            network: which one is asked: a guider may ask two for the same prompt, in any order.
            weights: which weights the network has in this call.
        """
        options, x = self.options, self.x
        current: Pass = options.get(PASS_KEY) or Pass(whole, model=network)
        conds = options["cond_or_uncond"]
        uuids = options.get("uuids") or [None] * len(conds)
        window = window_of(options)
        tiles = current.tiles(tuple(x.shape), uuids, window)
        # A batch that the host divides among devices is one batch.
        part = options.get("multigpu_thread_device")
        device = None if part is None else torch.device(part)
        rows = x.shape[0] // (len(conds) * max(tiles, 1))
        layout = (rows, tuple(x.shape[1:]), x.dtype, x.device if device is None else None)
        signature = (current.branches, current.model, signature_of(options))
        streams = [
            StreamKey(
                cond, uuid, window.frames if window else None, signature, layout,
                doubt="" if tiles else UNKNOWN_PART, weights=weights, device=device,
            )
            for cond, uuid in zip(conds, uuids, strict=True)
        ]  # fmt: skip
        return counter.number(streams * max(tiles, 1))


def _is_options(value: Any) -> bool:
    return isinstance(value, dict) and "cond_or_uncond" in value


def _is_control(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and not _is_options(value)
        and any(isinstance(value.get(place), list) for place in ("input", "middle", "output"))
    )
