"""Our session answers as the references did, from their frozen runs: without them or a host.

The fixtures are written by ``tests/reference/freeze.py``. What a reference computed is handed to
the session when it asks for it, and it may ask only then; all else it has to return by itself.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers_fastercache import DiffusersFasterCache
from safetensors import safe_open
from session_bench import COND, UNCOND
from stepcache.cache_core.approximators import Constant
from stepcache.cache_core.clock import Timeline
from stepcache.cache_core.methods import (
    PAB,
    DeepCache,
    Method,
    SmoothCache,
    TGate,
)
from stepcache.cache_core.report import Report
from stepcache.cache_core.rules import assign
from stepcache.cache_core.schedules import TimestepRange
from stepcache.cache_core.session import Session
from stepcache.cache_core.site_call import SiteCall
from stepcache.cache_core.sites import Site, SiteKind

FIXTURES = Path(__file__).parents[1] / "reference" / "fixtures"
GUIDANCE = Site(SiteKind.GUIDANCE, 0)


def _fastercache(
    every: int, guidance: int, attention: Any, one_branch: Any
) -> DiffusersFasterCache:
    return DiffusersFasterCache(
        self_attention=every, temporal_attention=1, cross_attention=1,
        attention_window=TimestepRange(*attention), weight=Constant(0.3),
        guidance_interval=guidance, guidance_window=TimestepRange(*one_branch),
        low_gain=1.1, low_window=TimestepRange(99, 641),
        high_gain=1.1, high_window=TimestepRange(-1, 301), compounds=True,
    )  # fmt: skip


def _row(flags: str) -> tuple[bool, ...]:
    return tuple(flag == "1" for flag in flags)


METHODS: dict[str, Method] = {
    "pab": PAB(2, 3, 6, TimestepRange(100, 800)),
    "fastercache": _fastercache(2, 5, (-1, 681), (-1, 781)),
    "fastercache_whole_run": _fastercache(4, 7, (-1, 1001), (-1, 1001)),
    "smoothcache": SmoothCache(
        (
            (SiteKind.SELF_ATTENTION, None, _row("100010010101")),
            (SiteKind.SELF_ATTENTION, 1, _row("101010101011")),
        )
    ),
    "deepcache": DeepCache(3, 4),
    "tgate_2": TGate(7, warm_up=2, self_interval=2, gated_interval=5),
    "tgate_1": TGate(5, warm_up=0, self_interval=1),
}


class Replay:
    """A frozen run, and a session that goes through it again."""

    def __init__(self, name: str) -> None:
        with safe_open(FIXTURES / f"{name}.safetensors", framework="pt") as file:
            self._tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            about = json.loads(file.metadata()["run"])
        self.timesteps: list[int] = about["timesteps"]
        self.branches: str = about["branches"]
        self.strips = {_site(layer): strip for layer, strip in about["strips"].items()}
        steps = len(self.timesteps)
        timeline = Timeline(
            (*self.timesteps, -1), tuple(self.timesteps), tuple(i / steps for i in range(steps))
        )
        assigned = assign(METHODS[name].rules(), (*self.strips, GUIDANCE))
        self.has_guidance = GUIDANCE in assigned
        self.kept = UNCOND if name.startswith("tgate") else COND
        self.session = Session(assigned, timeline, Report([], name, "", {}, timeline, {}, []))

    def frozen(self, site: Site, step: int) -> torch.Tensor | None:
        """What the reference returned, or None where that was not kept."""
        return self._tensors.get(f"{site.kind}_{site.index}/{step:02}")

    def layer(self, site: Site, step: int) -> torch.Tensor:
        """What the session answers for a layer; it may compute where the reference did."""
        expected = self.frozen(site, step)
        assert expected is not None
        asked: list[int] = []

        def compute() -> torch.Tensor:
            asked.append(step)
            return expected

        both = self.branches[step] == "2"
        answer = SiteCall(self.session, site, [UNCOND, COND] if both else [self.kept]).run(compute)
        assert bool(asked) == (self.strips[site][step] == "C"), f"{site} at step {step}"
        assert isinstance(answer, torch.Tensor)
        return answer

    def guidance(self, step: int) -> torch.Tensor | None:
        """What the session answers for both branches; it may skip one where the reference did."""
        call = SiteCall(self.session, GUIDANCE, [COND])
        assert call.reuses() == (self.branches[step] == "1"), f"guidance at step {step}"
        frozen = self.frozen(GUIDANCE, step)
        if frozen is None:
            return None
        uncond, cond = frozen.chunk(2)
        if not call.decision.reuse:
            call.record((cond, uncond))
            return frozen
        made_up = call.recall(given=cond)
        assert isinstance(made_up, torch.Tensor)
        return torch.cat([made_up, cond])


def _site(layer: str) -> Site:
    kind, _, index = layer.rpartition("_")
    return Site(SiteKind(kind), int(index))


@pytest.mark.parametrize("name", METHODS)
def test_the_session_answers_as_the_reference_did(name: str) -> None:
    replay = Replay(name)
    for step, t in enumerate(replay.timesteps):
        replay.session.start_evaluation(t)
        if replay.has_guidance:
            answer = replay.guidance(step)
            if answer is not None:
                # Transforms in float32 round differently from one machine's library to another's.
                torch.testing.assert_close(answer, replay.frozen(GUIDANCE, step), rtol=0, atol=1e-5)
        for site in replay.strips:
            assert torch.equal(replay.layer(site, step), replay.frozen(site, step))


@pytest.mark.parametrize("name", METHODS)
def test_a_frozen_layer_computes_something_else_every_time(name: str) -> None:
    """Otherwise a wrong source of a reuse would not show."""
    replay = Replay(name)
    assert set("".join(replay.strips.values())) == {"C", "R"}
    for site, strip in replay.strips.items():
        steps = [step for step, letter in enumerate(strip) if letter == "C"]
        for one, other in pairwise(replay.frozen(site, step) for step in steps):
            assert one is not None and other is not None
            assert one.shape != other.shape or not torch.equal(one, other)
