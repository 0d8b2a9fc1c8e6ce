"""Which settings of PyTorch an audit tries, and what their gain means for a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from .. import torch_settings
from ..cache_core.errors import StepCacheError
from ..cache_core.report import Report
from ..cache_core.sites import SiteKind
from ..torch_settings.attention import AUTO, BACKENDS
from ..torch_settings.int8 import ANYWAY
from ..torch_settings.setting import Setting
from .ab_test import AbResult, AbTest
from .audit import Recommendation
from .interleaved_runs import MOSTLY
from .op_trace import NATIVE_KERNELS, OpTrace
from .timing import Timed

ATTENTION = (
    SiteKind.SELF_ATTENTION, SiteKind.JOINT_ATTENTION, SiteKind.TEMPORAL_ATTENTION,
    SiteKind.CROSS_ATTENTION,
)  # fmt: skip
ROUNDING = "The picture changes by rounding"
LESS_EXACT = "Products are less exact: compare the pictures"
MEMORY = "The picture changes by rounding; weights in question are kept a second time"


@dataclass(frozen=True, slots=True)
class Option:
    """One setting that could be made.

    Args:
        setting: what is tried.
        words: the node's inputs.
        caution: what else it does.
    """

    setting: Setting
    words: str
    caution: str

    @property
    def name(self) -> str:
        return f"{self.setting.name} ({self.words})" if self.words else self.setting.name


def options_for(model: Any, heard: OpTrace) -> dict[str, Option]:
    """What is worth trying on a model, by name: nothing that it carries or that says no to it.

    Args:
        model: the host's ``ModelPatcher``.
        heard: of one evaluation.
    """
    carried = {setting.name for setting in torch_settings.settings_of(model)}
    device = torch.device(model.load_device).type
    found = [*_attention(heard, device), *_precision(heard, device)]
    found.append(Option(torch_settings.FusedProjections(), "", MEMORY))
    found.append(Option(torch_settings.DynamicInt8(without_gain=ANYWAY), "", LESS_EXACT))
    return {
        option.name: option
        for option in found
        if option.setting.name not in carried and _fits(option.setting, model)
    }


def _attention(heard: OpTrace, device: str) -> list[Option]:
    if not heard.attention:
        return []
    is_native = all(name in NATIVE_KERNELS for name in heard.attention)
    able = ["flash"] if device == "cpu" else [name for name in BACKENDS if name != "math"]
    backends = able if is_native else [AUTO]
    return [
        Option(torch_settings.AttentionBackend(each), f"backend {each}", ROUNDING)
        for each in backends
    ]


def _precision(heard: OpTrace, device: str) -> list[Option]:
    """Products of float32 numbers alone have a choice."""
    if "float32" not in heard.dtypes or torch.get_float32_matmul_precision() != "highest":
        return []
    products = {"cuda": "TF32", "cpu": "bfloat16"}.get(device)
    if products is None:
        return []
    return [Option(torch_settings.Precision(products), f"products {products}", LESS_EXACT)]


def _fits(setting: Setting, model: Any) -> bool:
    try:
        torch_settings.apply(model, setting)
    except StepCacheError:
        return False
    return True


def gains(
    options: Mapping[str, Option], trying: AbTest, timed: Timed, report: Report | None
) -> list[Recommendation]:
    """What the settings that were tried mean for a whole run.

    Args:
        options: all of them.
        trying: on evaluations in which everything computes.
        timed: the run.
        report: of the run, where methods reuse in it.
    """
    return [
        Recommendation(
            node=options[name].setting.name,
            setting=options[name].words,
            gain=_gain(options[name].setting, tried, timed, report),
            how=f"measured in {tried.rounds} of its evaluations, between others without",
            caution=f"{options[name].caution}.",
            is_sure=tried.wins >= MOSTLY,
        )
        for name, tried in trying.tried.items()
    ]


def _gain(setting: Setting, tried: AbResult, timed: Timed, report: Report | None) -> float:
    """Seconds of the run ÷ seconds with the setting, where only what computes becomes faster.

    All seconds are the run's own: those of another one, on a machine that does something else as
    well, would make a ratio that nobody measured.
    """
    saved = (1.0 - tried.ratio) * timed.model
    full = report.observed.full_seconds if report is not None and report.observed else None
    if report is not None and full is not None:
        kinds = [(SiteKind.BLOCK,), (SiteKind.DEEP_BRANCH,)]
        kinds += [ATTENTION] if isinstance(setting, torch_settings.AttentionBackend) else []
        computed = math.prod(_computed(report, each) for each in kinds)
        saved = min(saved, (1.0 - tried.ratio) * full * timed.evaluations * computed)
    return timed.seconds / (timed.seconds - saved)


def _computed(report: Report, kinds: tuple[SiteKind, ...]) -> float:
    """Which share of what layers of some kinds were asked was computed, 0 … 1."""
    counts = [report.counts_of(str(kind)) for kind in kinds]
    computed, reused = (sum(column) for column in zip(*counts, strict=True))
    return computed / (computed + reused) if reused else 1.0
