"""Runs another program, shows what it says, and explains its failure."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from .errors import StepError
from .progress import StepLine

KEPT_LINES = 15
AGAIN = "then run the same command again: it goes on where it can"
REMEDIES = (
    (
        ("No space left on device", "[Errno 28]", "not enough space on the disk"),
        f"free some disk space, {AGAIN}",
    ),
    (
        (
            "connection broken by",
            "Connection aborted",
            "Connection reset",
            "IncompleteRead",
            "NewConnectionError",
            "Temporary failure in name resolution",
            "getaddrinfo failed",
            "Network is unreachable",
            "ProxyError",
            "ReadTimeoutError",
        ),
        f"check the network (or pip's proxy settings), {AGAIN}",
    ),
    (
        ("No matching distribution found",),
        "the package registry that pip asks has no such version for this Python: use CPython 3.11 "
        f"to 3.13, or another registry (`python -m pip config list` shows which), {AGAIN}",
    ),
)
"""What a tool prints, and what to do about it; the first that fits counts."""


def run_tool(
    line: StepLine,
    step: str,
    command: Sequence[str | Path],
    remedy: str,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a program to its end.

    Args:
        line: where its output is shown while it runs.
        step: the name of the step for the error.
        command: program and arguments; no shell is involved.
        remedy: what to do if it fails for a reason that is not recognised.
        environment: variables to set besides those of this process.

    Raises:
        StepError: it could not be started or failed; carries the last lines it printed.
    """
    last: deque[str] = deque(maxlen=KEPT_LINES)
    try:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, **(environment or {})},
        )
    except OSError as error:
        raise StepError(step, str(error), remedy) from error
    with process:
        try:
            assert process.stdout is not None
            for text in process.stdout:
                if text.strip():
                    last.append(text.rstrip())
                    line.detail(text.strip())
            code = process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise
    if code:
        output = "\n".join(last)
        raise StepError(step, output or f"exit status {code}", _remedy(output, remedy))


def _remedy(output: str, otherwise: str) -> str:
    """What to do about a tool's last lines."""
    for words, remedy in REMEDIES:
        if any(each in output for each in words):
            return remedy
    return otherwise


def require_free_space(step: str, folder: Path, needed_bytes: int) -> None:
    """Refuse to begin what the disk cannot hold.

    Args:
        step: the name of the step for the error.
        folder: an existing folder on the disk in question.
        needed_bytes: what the step will write, in bytes.

    Raises:
        StepError: fewer bytes are free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise StepError(
            step,
            f"{folder} has {free / 1e9:.1f} GB free; {needed_bytes / 1e9:.1f} GB are needed",
            f"free some disk space, {AGAIN}",
        )
