"""How many threads draw a picture: as many as there are free cores.

Threads of OpenMP wait for each other after every operator: with more of them than free cores, a
picture of the demo took 25 times as long.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, MutableMapping

import psutil

VARIABLE = "OMP_NUM_THREADS"
LOOK_SECONDS = 1.0
SLACK = 0.25
"""Cores in use to no more than this share, all together, count as free."""


def use_free_cores(variables: MutableMapping[str, str] = os.environ) -> None:
    """Limit the threads of programs that are started from now on, where cores are in use.

    A number that the person has set stays.

    Args:
        variables: environment variables, which those programs inherit.
    """
    if variables.get(VARIABLE):
        return
    every = psutil.cpu_percent(LOOK_SECONDS, percpu=True)
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(len(every))
    busy = [percent for core, percent in enumerate(every) if core in allowed]
    threads = threads_for(busy)
    if threads < len(busy):
        variables[VARIABLE] = str(threads)
        print(
            f"- other programs use the processor: {threads} of {len(busy)} cores draw pictures "
            f"({VARIABLE} sets another number)",
            file=sys.stderr,
        )


def threads_for(busy: Iterable[float]) -> int:
    """As many threads as cores are free, and at least one.

    Args:
        busy: how much of each core is in use, in percent.
    """
    free = sum(1 - percent / 100 for percent in busy)
    return max(1, int(free + SLACK))
