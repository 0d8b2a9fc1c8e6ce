"""A calibration: what was measured, on which model and run, and the schedule of it. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast, get_args

from ..clock import Timeline
from ..errors import ConfigError
from ..schedule_file import Rows, shown, some_of
from ..sites import Part, SiteKind
from .groups import LAYERS
from .noise import NoiseChanges
from .table import ErrorTable, Place, is_same, merge

Average = Literal["per sample", "as the reference"]
"""Mean of the ratios of every latent and branch; or the ratio of their sums, which gives latents
with large activations more weight."""

_ALIKE = {
    "attention": ("layers", "block"),
    "layers": ("block", "attention"),
    "block": ("layers", "attention"),
}
"""Groups that are parts of each other."""

CONTAINERS = frozenset({
    "model", "layers", "run", "costs", "flops", "seconds", "keeping", "asking", "schedule",
})  # fmt: skip
"""Objects of a file in which keys may be new. Of any other object its own name is new."""

DEFAULT_ALPHA = 0.15
DEFAULT_LOOKAHEAD = 3


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Which model was measured: its architecture, whatever its weights are.

    Args:
        family: name of the family.
        network: name of the network's class.
        fingerprint: of class, layers and their widths.
        layers: how many sites of each kind it has.
    """

    family: str
    network: str
    fingerprint: str
    layers: Mapping[SiteKind, int]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """How it was sampled.

    Args:
        sampler: name of the sampler.
        scheduler: name of the scheduler, "custom" where no known one gives these noise levels.
        cfg: scale of guidance, 1 where one branch ran.
        latent: shape of one latent.
        shift: of flow models, None where there is none.
    """

    sampler: str
    scheduler: str
    cfg: float
    latent: tuple[int, ...]
    shift: float | None = None


@dataclass(frozen=True, slots=True)
class Costs:
    """What one evaluation of the model is made of, as shares of the whole, 0 … 1.

    Args:
        flops: by part; empty where they could not be counted.
        seconds: by part, measured in the calibrating run: what reusing it saves.
        device: what it ran on.
        keeping: by part, seconds that keeping what it computed adds.
        together: seconds that reusing all layers in one step saves; 0 where that is not known.
        asking: by part, seconds that asking it takes, whether it reuses or computes.
        patching: seconds that a patched call takes before and after; 0 where that is not known.
    """

    flops: Mapping[Part, float] = field(default_factory=dict[Part, float])
    seconds: Mapping[Part, float] = field(default_factory=dict[Part, float])
    device: str = ""
    keeping: Mapping[Part, float] = field(default_factory=dict[Part, float])
    together: float = 0.0
    asking: Mapping[Part, float] = field(default_factory=dict[Part, float])
    patching: float = 0.0

    @property
    def beyond(self) -> float:
        """What layers that reuse in one step save beyond their sum, ÷ the square of that sum.

        A step without any layer was seen to take less than their seconds say.
        """
        every = sum(share for (kind, _), share in self.seconds.items() if kind in LAYERS)
        return max(self.together - every, 0.0) / every**2 if every else 0.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """Everything that a calibration file holds.

    Args:
        model: which model.
        run: how it was sampled; the steps are those of the table.
        table: the errors.
        samples: latents that were measured, over all runs.
        runs: sampling runs that were measured.
        average: how samples were averaged, an `Average` unless a later version did.
        costs: what reuse saves.
        influence: by group of sites ("layers", "attention", "block", "deep_branch 1", "guidance"),
            relative error of the network's output per relative change of what the sites return.
        alpha: threshold of the schedule.
        lookahead: most steps in a row that reuse in the schedule.
        schedule: rows of compute flags; empty where none was made.
        tool: version of this pack.
        noise: how the noise estimate changed; None where that was not measured.
        is_whole: False for what an interrupted run left behind.
        unread: what a later version has written into the file, as JSON: kept, and not understood.
    """

    model: ModelFacts
    run: RunFacts
    table: ErrorTable
    samples: int
    runs: int = 1
    average: str = "per sample"
    costs: Costs = field(kw_only=True)
    influence: Mapping[str, float] = field(kw_only=True)
    alpha: float = DEFAULT_ALPHA
    lookahead: int = DEFAULT_LOOKAHEAD
    schedule: Rows = ()
    tool: str = ""
    noise: NoiseChanges | None = None
    is_whole: bool = True
    unread: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def remarks(self) -> tuple[str, ...]:
        """For the person: what the file holds and this version does not use."""
        found = list(dict.fromkeys(_names(self.unread)))
        if self.average not in get_args(Average):
            found.append(f"average {shown(self.average)}")
        if not found:
            return ()
        return (
            f"the calibration was made by a newer version of Step Cache; passed over here: "
            f"{some_of(found)}. Update Step Cache to use all of it",
        )

    @property
    def kinds(self) -> tuple[SiteKind, ...]:
        """Kinds of sites that were measured, in the order of `SiteKind`."""
        found = {place.kind for place in self.table.rows}
        return tuple(kind for kind in SiteKind if kind in found)

    @property
    def timeline(self) -> Timeline:
        """The calibrated run's own; windows in timesteps mean nothing on it."""
        sigmas, steps = self.table.sigmas, self.table.steps
        percents = tuple(step / steps for step in range(steps))
        noise = self.noise
        is_known = noise is not None and noise.levels == steps
        half_log_snrs = noise.half_log_snrs if noise is not None and is_known else ()
        return Timeline(sigmas, (None,) * steps, percents, half_log_snrs)

    def influence_of(self, group: str) -> float:
        """How much a change of a group matters; that of a like group where it was not measured."""
        for name in (group, *_ALIKE.get(group, ())):
            if name in self.influence:
                return self.influence[name]
        return 1.0

    def lacks(self, kind: SiteKind) -> bool:
        """Whether nothing is known about a kind."""
        return Place(kind) not in self.table.rows

    def plus(self, other: Calibration) -> Calibration:
        """Both calibrations as one, every sample with the same weight; without a schedule.

        Raises:
            ConfigError: they are not of the same model, run and way of averaging.
        """
        differences = self.differences(other)
        if differences:
            raise ConfigError(f"the two calibrations differ in {', '.join(differences)}")
        table = merge(self.table, self.samples, other.table, other.samples)
        influence = {
            name: _mean(self.influence.get(name, value), self.samples, value, other.samples)
            for name, value in other.influence.items()
        }
        return replace(
            other,
            table=table,
            samples=self.samples + other.samples,
            runs=self.runs + other.runs,
            influence={**self.influence, **influence},
            schedule=(),
            noise=self._noise_with(other),
            unread=self.unread,
        )

    def _noise_with(self, other: Calibration) -> NoiseChanges | None:
        if self.noise is None:
            return other.noise
        return self.noise.mixed(self.samples, other.noise, other.samples)

    def differences(self, other: Calibration) -> tuple[str, ...]:
        """What keeps two calibrations from being one, in words."""
        pairs = {
            "model": (self.model.fingerprint, other.model.fingerprint),
            "sampler": (self.run.sampler, other.run.sampler),
            "cfg": (self.run.cfg, other.run.cfg),
            "latent size": (self.run.latent, other.run.latent),
            "average": (self.average, other.average),
            "steps": (self.table.steps, other.table.steps),
            "lookahead": (self.table.lookahead, other.table.lookahead),
            "layers": (self.table.rows.keys(), other.table.rows.keys()),
        }
        found = [name for name, (one, two) in pairs.items() if one != two]
        if not found and not is_same(self.table.sigmas, other.table.sigmas):
            found.append("noise schedule")
        return tuple(found)


def _names(unread: Mapping[str, Any], place: str = "") -> Iterator[str]:
    """What was passed over, in words."""
    for key, value in unread.items():
        where = f"{place}, {key}" if place else key
        if key == "errors" and not place:
            rows = cast("list[dict[str, Any]]", value)
            yield from (f"errors of {_row_name(row)}" for row in rows)
        elif key in CONTAINERS and isinstance(value, dict) and value:
            yield from _names(cast("dict[str, Any]", value), where)
        else:
            yield shown(where)


def _row_name(row: Mapping[str, Any]) -> str:
    name = " ".join(str(row[key]) for key in ("kind", "branch") if key in row)
    # Of a row that is understood, only what is new in it was kept.
    new = [] if "lags" in row else [key for key in row if key not in ("kind", "index", "branch")]
    return shown(", ".join([name, *new]))


def _mean(one: float, weight: int, other: float, other_weight: int) -> float:
    return (one * weight + other * other_weight) / (weight + other_weight)
