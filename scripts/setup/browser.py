"""A Chromium for the tests of the front end. Playwright's own would be a large download."""

from __future__ import annotations

import os
import shutil

from .errors import StepError
from .progress import StepLine
from .tools import run_tool

TITLE = "Chromium"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find_browser() -> str | None:
    """A Chromium on this machine: the variable CHROMIUM, or one that is found by its name."""
    given = os.environ.get("CHROMIUM")
    return given or next(filter(None, map(shutil.which, NAMES)), None)


def ensure_browser() -> None:
    """Install Debian's where that is possible without asking; otherwise its tests are skipped."""
    if find_browser() is not None:
        return
    line = StepLine(TITLE)
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if not is_root or shutil.which("apt-get") is None:
        line.done("not found: the browser tests are skipped; install it, or set CHROMIUM")
        return
    remedy = "install Chromium yourself; without it the browser tests are skipped"
    quietly = {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        run_tool(line, TITLE, ("apt-get", "update"), remedy, quietly)
        command = ("apt-get", "install", "-y", "--no-install-recommends", "chromium")
        run_tool(line, TITLE, command, remedy, quietly)
    except StepError as error:
        line.done(f"not installed, so the browser tests are skipped: {error}")
        return
    line.done()
