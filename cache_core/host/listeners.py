"""Tells who listens how a run goes."""

from __future__ import annotations

import logging

from ..report import Report
from .installation import Listener

LOG = logging.getLogger("stepcache")


class ProgressNotifier:
    """Tells listeners once per step. What goes wrong there is no reason to lose a picture.

    Args:
        listeners: who is told.
        report: of the run, as it is at that moment.
    """

    def __init__(self, listeners: tuple[Listener, ...], report: Report) -> None:
        self._listeners, self._report = listeners, report
        self._step: int | None = None

    def step(self, step: int | None) -> None:
        """A step begins, None before the first and after the last."""
        if step == self._step and step is not None:
            return
        self._step = step
        for listener in self._listeners:
            try:
                listener(self._report)
            except Exception:
                LOG.exception("Step Cache: a node could not show the run")
