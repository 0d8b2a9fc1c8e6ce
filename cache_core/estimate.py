"""What a run that is over tells about the next one: seconds and bytes, by what was reused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from .effort import spend
from .sites import Part, SiteKind, name_of

Shares = Mapping[Part, float]
"""Which share of a part's sites reuses in a step, 0 … 1; one that is not named reuses nothing."""

ENOUGH = 3
"""Full steps whose median is trusted alone; of fewer, one slow step would tell a wrong speed."""

TOLERANCE = 1e-6
"""How far a step may lie from what was seen and still be told from it, in shares."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Steps of a run in which the same was reused.

    Args:
        reused: what.
        seconds: median of what such a step took.
        steps: how many there were.
        storing: seconds of it in which values were kept for later steps, median; where the device
            works on by itself it is not known, and 0.
    """

    reused: Shares
    seconds: float
    steps: int
    storing: float = 0.0


@dataclass(frozen=True, slots=True)
class Observation:
    """What the steps of a run cost.

    Args:
        seen: its steps, by what was reused in them.
        value_nbytes: bytes of one kept value of a part's site, all streams together.
        starts: the blocks with which rows of blocks begin, by index; what a row adds is one value.
    """

    seen: tuple[Seen, ...]
    value_nbytes: Mapping[Part, float]
    starts: tuple[int, ...] = ()

    @classmethod
    def of(
        cls,
        steps: Sequence[tuple[Shares, float, float]],
        value_nbytes: Mapping[Part, float],
        starts: Iterable[int] = (),
    ) -> Observation:
        """From what was reused in every step, its seconds, and those of them in which was stored.

        The first step warms up, and counts only if it is the only one of its sort.
        """
        found: dict[frozenset[tuple[Part, float]], list[tuple[float, float]]] = {}
        for shares, taken, storing in steps:
            found.setdefault(_told(shares), []).append((taken, storing))
        first = next(iter(found.values()), list[tuple[float, float]]())
        if len(first) > 1:
            del first[0]
        seen: list[Seen] = []
        for reused, each in found.items():
            taken, storing = (median(one) for one in zip(*each, strict=True))
            seen.append(Seen(dict(reused), taken, len(each), storing))
        return cls(tuple(seen), dict(value_nbytes), tuple(starts))

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "seen": [
                {
                    "reused": {name_of(part): share for part, share in each.reused.items()},
                    "seconds": round(each.seconds, 6),
                    "steps": each.steps,
                    "storing": round(each.storing, 6),
                }
                for each in self.seen
            ],
            "value_bytes": {name_of(part): n for part, n in self.value_nbytes.items()},
            "row_starts": list(self.starts),
        }

    @property
    def full_seconds(self) -> float | None:
        """What a step takes that neither reuses nor stores anything; None where the run does not
        tell."""
        full = self._full
        if full is not None and full.steps >= ENOUGH:
            return full.seconds - full.storing
        return self._estimator()({}) if self.seen else None

    @property
    def _full(self) -> Seen | None:
        """The steps that reused nothing."""
        return next((each for each in self.seen if not each.reused), None)

    def speedup(self, planned: Sequence[Shares]) -> float | None:
        """Seconds of steps that reuse nothing ÷ seconds of as many that reuse what is planned.

        A step that was seen takes what it took, any other what a full one takes less what each
        part saves. None where the run does not tell: of a part that it never reused, or never
        without another one.

        Args:
            planned: what every step will reuse.
        """
        full = self.full_seconds
        if full is None:
            return None
        seconds = {_told(each.reused): each.seconds for each in self.seen}
        if self._full is None or self._full.steps < ENOUGH:
            seconds[frozenset()] = full
        estimated = self._estimator()
        for shares in planned:
            if _told(shares) not in seconds:
                found = estimated(shares)
                if found is None:
                    return None
                seconds[_told(shares)] = found
        total = sum(seconds[_told(shares)] for shares in planned)
        return full * len(planned) / total if full > 0 and total > 0 else None

    def _estimator(self) -> Callable[[Shares], float | None]:
        """Seconds of a step that was not seen, by least squares over those that were."""
        parts = sorted({part for each in self.seen for part in each.reused}, key=name_of)
        spend(len(self.seen) * (len(parts) + 1) ** 2 / 10)
        weights = np.sqrt([each.steps for each in self.seen])
        features = np.array([_features(each.reused, parts) for each in self.seen])
        weighed = features * weights[:, None]
        inverse = np.linalg.pinv(weighed)
        seconds = np.array([each.seconds - each.storing for each in self.seen]) * weights

        def estimated(shares: Shares) -> float | None:
            if not {part for part, share in shares.items() if share}.issubset(parts):
                return None
            spend(len(self.seen) * (len(parts) + 1) / 100)
            wanted = np.array(_features(shares, parts))
            # What lies outside of the space that the seen steps span, they say nothing about.
            if np.abs(wanted @ inverse @ weighed - wanted).max() > TOLERANCE:
                return None
            return max(float(wanted @ inverse @ seconds), 0.0)

        return estimated

    def nbytes(self, values: Mapping[Part, int]) -> float | None:
        """Bytes that a run will keep; None where the observed one kept nothing of a part.

        Args:
            values: how many values of each part's sites are kept for one stream.
        """
        if any(part not in self.value_nbytes for part in values):
            return None
        return sum(count * self.value_nbytes[part] for part, count in values.items())


def _told(shares: Shares) -> frozenset[tuple[Part, float]]:
    """Equal for steps that reuse the same."""
    return frozenset((part, round(share, 3)) for part, share in shares.items() if share)


def _features(shares: Shares, parts: Sequence[Part]) -> list[float]:
    """What the seconds of a step are a sum of; a layer saves half as much of half a batch."""
    guidance = shares.get((SiteKind.GUIDANCE, None), 0.0)
    layers = [shares.get(part, 0.0) for part in parts if part[0] is not SiteKind.GUIDANCE]
    return [1.0, guidance, *(share * (1 - guidance / 2) for share in layers)]
