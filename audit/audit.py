"""What an audit found, and as plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .op_trace import OpTrace
from .profiling import Profiled
from .timing import Timed

AUDIT_VERSION = 1
"""Version of the JSON layout; raised when a key changes its meaning or goes away."""

NAME = "Speed Audit"

MIN_GAIN = 1.03
"""Less is within what two runs differ by anyway."""
MAX_RECOMMENDED = 5


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One thing that was tried, and may be worth doing.

    Args:
        node: the node that does it.
        setting: its inputs; empty where it has none.
        gain: seconds of the run as it is ÷ seconds with it; by itself, without the others.
        how: where the gain is known from.
        caution: what else it does.
        is_sure: whether it may be recommended, if the gain is worth it.
    """

    node: str
    setting: str
    gain: float
    how: str
    caution: str
    is_sure: bool

    @property
    def name(self) -> str:
        """The node and what is set on it."""
        return f"{self.node} ({self.setting})" if self.setting else self.node

    @property
    def is_worth_it(self) -> bool:
        """Whether it is recommended."""
        return self.is_sure and self.gain >= MIN_GAIN

    def __str__(self) -> str:
        setting = f", {self.setting}" if self.setting else ""
        return f"{self.node}{setting}: about {self.gain:.2f}x as fast ({self.how}). {self.caution}"


@dataclass(frozen=True, slots=True)
class Caching:
    """What reusing layers could save.

    Args:
        kinds: share of a plain step that each kind of layer takes, 0 … 1; kinds may contain each
            other.
        still: share of the audited run that at most could still be left out, 0 … 1.
        reason: why nothing is known; None if something is.
    """

    kinds: Mapping[str, float] = field(default_factory=dict[str, float])
    still: float = 0.0
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Audit:
    """All of it.

    Args:
        model: family or class of the network.
        device: on which it ran.
        steps: of the audited run.
        attached: nodes of this pack on the model, in words.
        reuse: seconds if every step had computed everything ÷ seconds; None where nothing reuses.
        gained: seconds without anything of this pack ÷ seconds as it is, by turns; None where that
            was not measured.
        timed: the audited run; of several the middle one.
        runs: how many there were.
        heard: operators of one evaluation.
        profiled: one call of the model.
        caching: what layers could save.
        advice: what to do, the greatest gain first.
        tried: gain of everything that was tried or estimated, by its name.
        failed: why something could not be tried, by its name.
    """

    model: str
    device: str
    steps: int
    attached: tuple[str, ...]
    reuse: float | None
    gained: float | None
    timed: Timed
    runs: int
    heard: OpTrace
    profiled: Profiled
    caching: Caching
    advice: tuple[Recommendation, ...]
    tried: Mapping[str, float]
    failed: Mapping[str, str]

    @property
    def parts(self) -> dict[str, float]:
        """Share of the run's seconds, 0 … 1, by part; together 1."""
        timed, profiled = self.timed, self.profiled
        model = min(timed.model / timed.seconds, 1.0) if timed.seconds else 0.0
        found = {"model": model * profiled.operators}
        if profiled.reason is None:
            name = "idle device" if self.device != "cpu" else "Python overhead"
            found[name] = model * profiled.waiting
            found["transfer"] = model * profiled.transfer
        return {**found, "sampler": 1.0 - sum(found.values())}

    def to_dict(self) -> dict[str, Any]:
        """As plain data, ready for JSON. Shares are 0 … 1, times seconds, memory bytes."""
        timed, heard, profiled = self.timed, self.heard, self.profiled
        return {
            "version": AUDIT_VERSION,
            "model": self.model,
            "device": self.device,
            "steps": self.steps,
            "attached": list(self.attached),
            "reuse": round(self.reuse, 4) if self.reuse is not None else None,
            "gained": round(self.gained, 4) if self.gained is not None else None,
            "seconds": round(timed.seconds, 6),
            "runs": self.runs,
            "loading_seconds": round(timed.loading, 6),
            "evaluations": timed.evaluations,
            "model_calls": timed.calls,
            "has_two_branches": timed.has_two_branches,
            "latent": list(timed.latent),
            "parts": _rounded(self.parts),
            "operators": _rounded(profiled.longest or {}),
            "profile_reason": profiled.reason,
            "blocks": {
                name: {
                    "count": count,
                    "share": round((profiled.block_lists or {}).get(name, 0.0), 4),
                    "products": dtypes,
                    "attention": attention,
                }
                for name, (count, dtypes, attention) in heard.block_lists.items()
            },
            "products": heard.dtypes,
            "attention": heard.attention,
            "waits": [
                {"line": w.line, "what": w.what, "in_model": w.is_in_model, "count": n}
                for w, n in heard.waits.items()
            ],
            "heard_reason": heard.reason,
            "compiled": timed.compiled,
            "peak_bytes": timed.nbytes,
            "memory": timed.memory,
            "caching": {
                "kinds": _rounded(self.caching.kinds),
                "still": round(self.caching.still, 4),
                "reason": self.caching.reason,
            },
            "recommendations": [
                {
                    "node": each.node,
                    "setting": each.setting,
                    "gain": round(each.gain, 4),
                    "how": each.how,
                    "caution": each.caution,
                }
                for each in self.advice
            ],
            "tried": _rounded(self.tried),
            "failed": dict(self.failed),
        }

    def to_json(self) -> str:
        """As versioned JSON."""
        return json.dumps(self.to_dict(), indent=2)


def _rounded(found: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in found.items()}
