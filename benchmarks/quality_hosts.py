"""The host's own caches, at the threshold that makes them as fast as one of our settings."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from comfy_extras.nodes_easycache import EasyCacheNode, LazyCacheNode

from demo.shapes import scenes

from .quality_records import read_json, write_json
from .quality_runs import Subject, timed_pair

NODES = {"EasyCache": EasyCacheNode, "LazyCache": LazyCacheNode}
START_PERCENT, END_PERCENT = 0.15, 0.95
"""The nodes' defaults."""

TOLERANCE = 0.03
PROBES = 7
PROBED_BATCHES = 2
FIRST_THRESHOLD = 0.05
MAX_THRESHOLD = 3.0
DIGITS = 4
MIN_SPEEDUP = 1.1
"""What gains less is within the noise of the probes and is not matched."""


class HostCache:
    """One of the host's caches on one model, and how fast it is at the thresholds tried so far.

    Args:
        name: "EasyCache" or "LazyCache".
        subject: the model; in float32 EasyCache adds in place into the sampler's latent.
        work: folder that keeps the speeds between runs.
    """

    def __init__(self, name: str, subject: Subject, work: Path) -> None:
        self.name, self._subject = name, subject
        self._path = work / "thresholds" / f"{subject.name}_{name}.json"
        self._found: dict[str, Any] = read_json(self._path) or {"speedups": {}, "matches": {}}

    def patch(self, model: Any, threshold: float) -> Any:
        """The model with the host's node attached."""
        node = NODES[self.name]
        return node.execute(model, threshold, START_PERCENT, END_PERCENT, False).args[0]

    def match(self, method: str, target: float) -> float | None:
        """The reuse threshold whose speedup is nearest to a method's, kept once it is found.

        Returns:
            None where the method gains too little to be matched.
        """
        known = self._found["matches"].get(method)
        if known is None:
            threshold = self._search(target) if target >= MIN_SPEEDUP else None
            known = {"target": target, "threshold": threshold}
            if threshold is not None:
                known["probed"] = self._found["speedups"][str(threshold)]
            self._found["matches"][method] = known
            write_json(self._path, self._found)
        return known["threshold"]

    def _search(self, target: float) -> float:
        """Bisect; the speedup rises with the threshold."""
        speeds = {float(key): value for key, value in self._found["speedups"].items()}
        for _ in range(PROBES):
            best = min(speeds, key=lambda t: abs(speeds[t] - target), default=None)
            if best is not None and abs(speeds[best] / target - 1) <= TOLERANCE:
                break
            slower = max((t for t in speeds if speeds[t] < target), default=0.0)
            faster = min((t for t in speeds if speeds[t] >= target), default=None)
            if faster is None:
                if slower >= MAX_THRESHOLD:
                    break
                tried = min(max(2 * slower, FIRST_THRESHOLD), MAX_THRESHOLD)
            else:
                tried = round((slower + faster) / 2, DIGITS)
            if tried in speeds:
                break
            speeds[tried] = self._speedup(tried)
        return min(speeds, key=lambda t: abs(speeds[t] - target))

    def _speedup(self, threshold: float) -> float:
        subject = self._subject
        patched = self.patch(subject.model, threshold)
        subject.warm_up(subject.model)
        subject.warm_up(patched)
        texts = scenes.held_out_captions(PROBED_BATCHES * subject.batch)
        ratios: list[float] = []
        for i in range(PROBED_BATCHES):
            first = i * subject.batch
            part = texts[first : first + subject.batch]
            _, seconds, plain = timed_pair(subject, patched, part, first, plain_first=i % 2 == 0)
            ratios.append(plain / seconds)
        speedup = round(statistics.fmean(ratios), 4)
        print(f"  {subject.name}/{self.name} threshold {threshold}: {speedup:.3f}×", flush=True)
        self._found["speedups"][str(threshold)] = speedup
        write_json(self._path, self._found)
        return speedup


def matches_of(work: Path) -> dict[str, Any]:
    """What was matched with what, by model and host cache."""
    files = sorted((work / "thresholds").glob("*.json"))
    return {path.stem.replace("_", "/"): read_json(path)["matches"] for path in files}
