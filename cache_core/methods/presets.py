"""Published settings, as data: their numbers, and the models that they were published for.

Windows that the authors write in timesteps or step numbers of one run are given as a part of the
run, so that they mean the same steps there and work for any number of steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Protocol, TypeVar

from ..approximators import Constant, Sloped
from ..errors import ConfigError
from ..schedules import PercentRange
from ..sites import SiteKind
from .deepcache import DeepCache
from .fastercache import FasterCache
from .method import Preset
from .pab import PAB
from .smoothcache import SmoothCache, UniformSmoothCache
from .tgate import TGate

SELF = SiteKind.SELF_ATTENTION
TEMPORAL = SiteKind.TEMPORAL_ATTENTION
CROSS = SiteKind.CROSS_ATTENTION
FEED_FORWARD = SiteKind.FEED_FORWARD
GUIDANCE = SiteKind.GUIDANCE


class _Named(Protocol):
    @property
    def preset(self) -> Preset: ...


NamedT = TypeVar("NamedT", bound=_Named)


def _by_name(methods: Iterable[NamedT]) -> Mapping[str, NamedT]:
    return MappingProxyType({method.preset.name: method for method in methods})


def _for(name: str, *kinds: SiteKind) -> Preset:
    return Preset(name, frozenset(kinds))


def _steps(first: int, last: int, steps: int) -> PercentRange:
    """The part of a run from one step to another, both included.

    It begins and ends halfway between two steps: schedulers round.
    """
    return PercentRange(max(first - 0.5, 0.0) / steps, min((last + 0.5) / steps, 1.0))


def _starts(*steps: int, of: int) -> tuple[float, ...]:
    return tuple(step / of for step in steps)


PAB_PRESETS = _by_name(
    [
        # 30 steps of 480p for 2 s, whose timesteps are shifted: 864, 788, 676 are its steps
        # 13, 17 and 21, and 930 … 450 its steps 9 … 25. Blocks 0-4, spatial and temporal.
        PAB(
            2, 4, 6, _steps(9, 25, 30), feed_forward_starts=_starts(13, 17, 21, of=30),
            feed_forward_count=2, feed_forward_blocks=10,
            preset=_for("Open-Sora 1.2", SELF, TEMPORAL, CROSS, FEED_FORWARD),
        ),
        # 150 steps, 6 timesteps apart from 894 down; 850 … 100 and 738, 714, …, 426. Blocks 0-6.
        PAB(
            2, 4, 6, _steps(8, 132, 150), feed_forward_starts=_starts(*range(26, 79, 4), of=150),
            feed_forward_count=2, feed_forward_blocks=14,
            preset=_for("Open-Sora-Plan 1.1", SELF, TEMPORAL, CROSS, FEED_FORWARD),
        ),
        # 850 … 100, for no particular number of steps.
        PAB(2, 1, 6, PercentRange(0.15, 0.9), preset=_for("Open-Sora-Plan 1.2", SELF, CROSS)),
        # 50 steps, 20 timesteps apart from 980 down; 800 … 100 and 720, 640, …, 400. Blocks 0-4.
        PAB(
            2, 3, 6, _steps(10, 43, 50), feed_forward_starts=_starts(13, 17, 21, 25, 29, of=50),
            feed_forward_count=2, feed_forward_blocks=10,
            preset=_for("Latte", SELF, TEMPORAL, CROSS, FEED_FORWARD),
        ),
        # 50 steps, 20 timesteps apart from 999 down; 850 … 100.
        PAB(2, 1, 1, _steps(8, 44, 50), preset=_for("CogVideoX", SELF)),
        # 800 … 100; the shift of its timesteps is not part of the configuration.
        PAB(2, 4, 6, PercentRange(0.2, 0.9), preset=_for("Vchitect-2.0", SELF, TEMPORAL, CROSS)),
    ]
)  # fmt: skip
"""Source: NUS-HPC-AI-Lab/VideoSys 4cce477, ``videosys/pipelines/*``, the configuration classes."""

FASTERCACHE_PRESETS = _by_name(
    [
        FasterCache(
            self_attention=2, temporal_attention=2,
            attention_window=_steps(7, 29, 30), weight=Sloped(origin=6, slope=0.045),
            guidance_interval=5, guidance_window=_steps(11, 29, 30), guidance_phase=1,
            low_gain=1.15, low_window=_steps(0, 24, 30),
            high_gain=1.15, high_window=_steps(19, 29, 30),
            compounds=True, preset=_for("Open-Sora 1.2", SELF, TEMPORAL, GUIDANCE),
        ),
        FasterCache(
            self_attention=2, temporal_attention=2,
            attention_window=_steps(15, 49, 50), weight=Constant(0.5),
            guidance_interval=5, guidance_window=_steps(17, 49, 50), guidance_phase=1,
            low_gain=1.1, low_window=_steps(0, 43, 50),
            high_gain=1.1, high_window=_steps(44, 49, 50),
            compounds=True, preset=_for("Latte", SELF, TEMPORAL, GUIDANCE),
        ),
        FasterCache(
            self_attention=3, temporal_attention=1,
            attention_window=_steps(17, 49, 50), attention_phase=1, weight=Constant(0.3),
            guidance_interval=5, guidance_window=_steps(17, 49, 50), guidance_phase=1,
            low_gain=1.1, low_window=_steps(0, 39, 50),
            high_gain=1.1, high_window=_steps(29, 49, 50),
            compounds=True, preset=_for("CogVideoX", SELF, GUIDANCE),
        ),
        FasterCache(
            self_attention=3, temporal_attention=3,
            attention_window=_steps(44, 149, 150), attention_phase=1, weight=Constant(0.3),
            guidance_interval=6, guidance_window=_steps(39, 149, 150), guidance_phase=1,
            low_gain=1.1, low_window=_steps(0, 129, 150),
            high_gain=1.2, high_window=_steps(130, 149, 150),
            compounds=True, preset=_for("Open-Sora-Plan 1.1", SELF, TEMPORAL, GUIDANCE),
        ),
        FasterCache(
            self_attention=2, temporal_attention=2,
            attention_window=_steps(30, 99, 100), weight=Constant(0.0),
            guidance_interval=5, guidance_window=_steps(30, 99, 100), guidance_phase=1,
            low_gain=1.05, low_window=_steps(0, 78, 100),
            high_gain=1.1, high_window=_steps(60, 99, 100),
            compounds=True, preset=_for("Vchitect-2.0", SELF, TEMPORAL, GUIDANCE),
        ),
        # The only script that counts its steps from 0.
        FasterCache(
            self_attention=2, temporal_attention=1,
            attention_window=_steps(20, 63, 64), attention_phase=1,
            weight=Sloped(origin=0, slope=1 / 63, floor=0.5),
            guidance_interval=5, guidance_window=_steps(22, 62, 64),
            low_gain=1.15, low_window=_steps(0, 50, 64),
            high_gain=1.25, high_window=_steps(30, 63, 64),
            compounds=True, preset=_for("Mochi", SELF, GUIDANCE),
        ),
    ]
)  # fmt: skip
"""Source: Vchitect/FasterCache 02d05ef, ``scripts/`` and the pipelines of Mochi and Vchitect.

The scripts count steps from 1 and multiply the kept difference again at every reuse. Where both
branches run after one alone did, they reuse what is not there; we compute."""

TGATE_PRESETS = _by_name(
    [
        TGate(10, 2, 5, preset=_for("SDXL: gate 10, self 5 (25 steps)", CROSS, SELF)),
        TGate(5, 2, 3, preset=_for("SDXL: gate 5, self 3 (25 steps)", CROSS, SELF)),
        TGate(15, 2, 3, preset=_for("PixArt: gate 15, self 3 (25 steps)", CROSS, SELF)),
        TGate(5, 2, 1, preset=_for("SD1.5, SD2: gate 5 (25 steps)", CROSS)),
        TGate(10, 2, 1, preset=_for("SD1.5, SD2, SDXL: gate 10, version 1 (25 steps)", CROSS)),
        TGate(8, 2, 1, preset=_for("PixArt: gate 8, version 1 (25 steps)", CROSS)),
        TGate(10, 0, 1, preset=_for("SDXL with DeepCache: gate 10 (25 steps)", CROSS)),
        # SVD's "negative" tensors are made without guidance: they are the conditional ones.
        TGate(
            10, 2, 5, kept="cond",
            preset=_for("SVD: gate 10, self 5 (25 steps)", CROSS, SELF, TEMPORAL),
        ),
        TGate(
            5, 2, 3, kept="cond",
            preset=_for("SVD: gate 5, self 3 (25 steps)", CROSS, SELF, TEMPORAL),
        ),
        *(
            TGate(
                100, 2, k,
                preset=_for(f"Open-Sora: gate 100, self {k} (250 steps)", CROSS, SELF, TEMPORAL),
            )
            for k in (3, 5, 10)
        ),
        TGate(1, 0, 1, preset=_for("LCM: gate 1 (4 steps)", CROSS)),
        TGate(2, 0, 1, preset=_for("LCM: gate 2 (4 steps)", CROSS)),
    ]
)  # fmt: skip
"""Source: arXiv 2404.02747, section 5; HaozheLiu-ST/T-GATE ab2a88f, README.md and ``main.py``."""

_SD_CENTERS = {
    "A": ((15, 1.5), (15, 1.3), (15, 1.4), (10, 1.5), (15, 1.3), (15, 1.4), (10, 1.4)),
    "B": ((20, 1.3), (20, 1.4), (20, 1.4), (15, 1.3), (15, 1.5), (15, 1.5), (20, 1.3)),
}
"""Centre and power for intervals 2 … 8 on the paper's two sets of prompts."""

_LDM_CENTERS = {2: (120, 1.2), 3: (120, 1.2), 5: (110, 1.4), 10: (110, 1.2), 20: (120, 1.4)}


def _deepcache(name: str, interval: int, branch: int) -> DeepCache:
    return DeepCache(interval, branch, preset=_for(name, SiteKind.DEEP_BRANCH))


def _gathered(name: str, interval: int, branch: int, center: int, power: float) -> DeepCache:
    preset = _for(name, SiteKind.DEEP_BRANCH)
    return DeepCache(interval, branch, False, center, power, preset=preset)


DEEPCACHE_PRESETS = _by_name(
    [
        _gathered("SD1.5 demo: interval 5, non-uniform (50 steps)", 5, 1, 15, 1.4),
        _deepcache("SDXL demo: interval 3", 3, 1),
        _deepcache("SVD demo: interval 3", 3, 1),
        _deepcache("diffusers: interval 3, branch 0", 3, 0),
        _deepcache("diffusers: interval 5, branch 0", 5, 0),
        _deepcache("diffusers: interval 5, branch 1", 5, 1),
        _deepcache("with T-GATE: interval 3, branch 0", 3, 0),
        *(
            _gathered(f"SD1.5 paper {prompts}: interval {n}, non-uniform (50 steps)", n, 1, *where)
            for prompts, wheres in _SD_CENTERS.items()
            for n, where in enumerate(wheres, start=2)
        ),
        *(
            _gathered(f"LDM paper: interval {n}, non-uniform (250 steps)", n, 0, *where)
            for n, where in _LDM_CENTERS.items()
        ),
    ]
)
"""Source: arXiv 2312.00858, section 4 and appendix; horseee/DeepCache 1691a3a, README.md; the page
about DeepCache in diffusers' documentation. Branches are renumbered as in docs/methods.md."""

_LAYERS = (SELF, FEED_FORWARD)
_BLOCKS = (SiteKind.BLOCK,)

FORA_SCHEDULES = MappingProxyType({
    "FORA: every 2nd step": (2, _LAYERS),
    "FORA: every 3rd step": (3, _LAYERS),
    "whole blocks: every 2nd step": (2, _BLOCKS),
    "whole blocks: every 3rd step": (3, _BLOCKS),
})  # fmt: skip
"""Source: arXiv 2411.10510, table 1; Roblox/SmoothCache edeb4ed, the schedules named fora. The same
for whole blocks is not published: it is for models whose attention is fused with other layers."""


def uniform(label: str) -> UniformSmoothCache:
    """The uniform baseline, attention and feed-forward or whole blocks, for the steps of any run.

    Args:
        label: a name in FORA_SCHEDULES.
    """
    interval, kinds = FORA_SCHEDULES[label]
    return UniformSmoothCache(interval, kinds, label)


def fora(label: str, steps: int) -> SmoothCache:
    """The same for one number of steps.

    Args:
        label: a name in FORA_SCHEDULES.
        steps: steps of the run, >= 1; the last one is computed in any case.

    Raises:
        ConfigError: no steps.
    """
    if steps < 1:
        raise ConfigError(
            f"steps is {steps}; expected the steps of the sampler, or 0 to follow those of the run"
        )
    return uniform(label).over(steps)
