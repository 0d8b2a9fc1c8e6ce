"""What a call of ours does with an error that nobody foresaw: it computes, and the report tells."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager

from comfy.model_management import InterruptProcessingException

from ..errors import StepCacheError
from ..report import Report

LOG = logging.getLogger("stepcache")


TOLD = "was computed without Step Cache"
"""Part of every note about an error that nobody foresaw."""


class Guard:
    """Whether what was tried went well."""

    __slots__ = ("failed",)

    def __init__(self) -> None:
        self.failed = False


@contextmanager
def guarded(report: Report, what: str) -> Generator[Guard]:
    """Around what the pack does for itself, never around what the host or another node computes.

    Refusals and interrupts pass. Anything else is logged and noted, and the caller computes.

    Args:
        report: of the run.
        what: what is left to be computed then, for the note.
    """
    guard = Guard()
    try:
        yield guard
    except Exception as error:
        pass_over(error, report, what)
        guard.failed = True


def pass_over(error: Exception, report: Report, what: str) -> None:
    """Log and note an error that is being handled; arguments as of `guarded`.

    Raises:
        Exception: this very error, where it is a refusal or an interrupt.
    """
    if isinstance(error, StepCacheError | InterruptProcessingException):
        raise error
    remark = unforeseen(what, error)
    # Once: it may happen in every layer of every step.
    if remark not in report.notes:
        LOG.error("Step Cache: %s", remark, exc_info=error)
    report.remark(remark)


def unforeseen(what: str, error: Exception) -> str:
    """The note about an error that nobody foresaw."""
    return (
        f"{what} {TOLD}, which another node gave something that it does "
        f"not know ({type(error).__name__}: {error}); the picture is as without it"
    )
