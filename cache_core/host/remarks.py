"""What the report of a run remarks, and when."""

from __future__ import annotations

from collections.abc import Iterator

from ..clock import Timeline
from ..report import Report
from ..sites import SiteKind
from .installation import Installation
from .planned import Planned

PROVED = "the layers of this unknown model were shown to be reusable on the first step"

OTHER_NETWORK = (
    "the guider also asks a model with other layers, which was left as it is: only the model that "
    "this node is attached to reuses"
)

NO_SECOND_BRANCH = (
    "guidance: no step ran two branches (CFG 1, or a guider with another number of branches); that "
    "part had no effect"
)

UNEXPECTED_BRANCH = (
    "guidance: two branches ran although CFG is 1, because the sampler asks for both; that part "
    "had no effect"
)

NO_SCALE = (
    "guidance: the guider has no scale that is one number; how much guidance matters was measured "
    "as for CFG 1. Calibrate with the host's own CFGGuider or KSampler to measure it"
)

NEEDS_BOTH = (
    "guidance: this model needs both branches to sample more than one latent at once; that part "
    "had no effect"
)


ONE_STEP = "a run of one step has nothing to reuse: its only step computes"

STEP_BY_STEP = (
    "the sampler begins a run of its own for every step, as regional and tiled samplers do: "
    "nothing is kept from one to the next. A sampler that samples all steps in one run can reuse"
)

NOTHING_TO_COMPARE = (
    "SmoothCache Calibrate: a run of 1 step has nothing to compare; expected 2 or more. Sample "
    "with as many steps as you will use"
)

NO_STEP = "a run of no step evaluates no model"

SECOND_MODEL = (
    "a guider asked this model beside another one, whose settings hold for the whole run: what is "
    "attached here had no effect. Attach it to the guider's first model; Step Cache then answers "
    "for both"
)


def on_guidance(planned: Planned, has_met_both: bool) -> Iterator[str]:
    """Where a method's guidance half found nothing to do."""
    if any(site.kind is SiteKind.GUIDANCE for site in planned.claimed):
        if not has_met_both:
            yield NO_SECOND_BRANCH
        elif len(planned.assigned) < len(planned.claimed):
            yield UNEXPECTED_BRANCH


def on_layers(report: Report, outcome: str) -> Iterator[str]:
    """Kinds that were to be reused, and that the network did not ask for in a run to the end."""
    if outcome != "finished":
        return
    for kind, plan in report.plans.items():
        is_layer = kind not in (SiteKind.GUIDANCE, SiteKind.EVALUATION)
        if is_layer and "R" in plan and report.total_computed and not any(report.counts_of(kind)):
            yield (
                f"{kind}: these layers were never called, so that part had no effect: another "
                f"extension replaced them, or the model computes them by another way"
            )


def empty_report(installation: Installation, sampler: str) -> Report:
    """The report of a run in which nothing is ours."""
    methods = [method.describe() for method in installation.methods]
    report = Report(
        methods, installation.family, sampler, plans={}, timeline=None, layers={}, notes=[]
    )
    report.finish("finished", 0)
    return report


def goes_step_by_step(timeline: Timeline, previous: Report | None) -> bool:
    """Whether a run of one step goes on where another one has stopped."""
    before = previous.timeline if previous is not None else None
    if previous is None or before is None or timeline.steps != 1 or before.steps != 1:
        return False
    is_next = before.sigmas[-1] == timeline.sigmas[0]
    # The next tile or region of the same step.
    return is_next or (before.sigmas == timeline.sigmas and STEP_BY_STEP in previous.notes)
