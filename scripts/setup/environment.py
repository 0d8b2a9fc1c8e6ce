"""Our own virtual environment: made in stages, each of which is stamped when it is whole."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import StepError
from .layout import CONSTRAINTS, python_in
from .progress import StepLine
from .stamps import fingerprint, is_stamped, write_stamp
from .tools import AGAIN, require_free_space, run_tool

UNFINISHED = "stepcache-unfinished"
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input")


@dataclass(frozen=True, slots=True)
class Stage:
    """One group of packages.

    Args:
        name: names the stamp file.
        title: what the person reads.
        installs: arguments of `pip install`, one tuple per call, in this order.
        needed_bytes: free disk space that the stage wants, in bytes.
        finish: called with the environment's interpreter before the stage counts as whole.
    """

    name: str
    title: str
    installs: tuple[tuple[str, ...], ...]
    needed_bytes: int
    finish: Callable[[Path], None] | None = None

    @property
    def content(self) -> dict[str, str]:
        """What the stamp says: another list or other pins mean another content."""
        lines = [" ".join(arguments) for arguments in self.installs]
        pins = CONSTRAINTS.read_text(encoding="utf-8")
        return {"stage": self.name, "made_from": fingerprint(*lines, pins)}


class Environment:
    """A virtual environment in a folder of its own.

    Whoever is interrupted leaves the file `stepcache-unfinished` behind. What is found with that
    file is built again from nothing, unless nothing was installed since the file was written: then
    the stages before stay, however long the download was that broke off. An environment that
    somebody made by hand is completed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = python_in(folder)

    def ensure(self, stages: Sequence[Stage]) -> None:
        """Make the environment and every stage that is not stamped as whole.

        Raises:
            StepError: a step failed; the environment stays marked as unfinished.
        """
        if not self._is_usable():
            self._create()
        for stage in stages:
            if not is_stamped(self._stamp(stage), stage.content):
                self._install(stage)

    def _stamp(self, stage: Stage) -> Path:
        return self.folder / f"stepcache-{stage.name}.json"

    def _is_usable(self) -> bool:
        if not self.python.is_file() or not answers(self.python, "import pip"):
            return False
        if not is_stamped(self.folder / UNFINISHED, self._content()):
            return not (self.folder / UNFINISHED).exists()
        self._unmark()
        return True

    def _create(self) -> None:
        step = f"virtual environment in {self.folder.name}"
        line = StepLine(step)
        was_there = self.folder.exists()
        if was_there:
            self._remove(step)
        require_free_space(step, self.folder.parent, 100_000_000)
        self.folder.mkdir()
        self._mark()
        # Inside another virtual environment, that one's own base may be the folder just removed.
        base = getattr(sys, "_base_executable", None) or sys.executable
        run_tool(
            line,
            step,
            [base, "-m", "venv", self.folder],
            "install Python's venv module (on Debian and Ubuntu: apt install python3-venv), "
            f"{AGAIN}",
        )
        self._unmark()
        line.done("made again, the one found was not whole" if was_there else "done")

    def _remove(self, step: str) -> None:
        is_ours = (self.folder / "pyvenv.cfg").exists() or (self.folder / UNFINISHED).exists()
        if not is_ours and any(self.folder.iterdir()):
            raise StepError(
                step,
                f"{self.folder} exists and is not a virtual environment",
                "move it away, then run the same command again",
            )
        try:
            shutil.rmtree(self.folder)
        except OSError as error:
            raise StepError(
                step,
                f"the unfinished {self.folder} cannot be removed: {error}",
                "close the programs that use it, or remove it by hand, and run the command again",
            ) from error

    def _install(self, stage: Stage) -> None:
        line = StepLine(stage.title)
        require_free_space(stage.title, self.folder, stage.needed_bytes)
        self._mark()
        for arguments in stage.installs:
            pip_install(self.python, line, stage.title, arguments)
        if stage.finish is not None:
            stage.finish(self.python)
        write_stamp(self._stamp(stage), stage.content)
        self._unmark()
        line.done()

    def _mark(self) -> None:
        write_stamp(self.folder / UNFINISHED, self._content())

    def _content(self) -> dict[str, str]:
        """Changes with the first package that pip puts into place."""
        places = ("*", "lib*/python*/site-packages/*", "Lib/site-packages/*")
        names = {path.name for place in places for path in self.folder.glob(place)}
        return {"holds": fingerprint(*sorted(names - {UNFINISHED}))}

    def _unmark(self) -> None:
        (self.folder / UNFINISHED).unlink()


def pip_install(python: Path, line: StepLine, step: str, arguments: Sequence[str]) -> None:
    """Run `pip install` with the pack's pins.

    Raises:
        StepError: pip failed; carries its last lines.
    """
    command = [python, *PIP, "install", "--constraint", CONSTRAINTS, *arguments]
    run_tool(
        line,
        step,
        command,
        "read the lines above; if pip finds no matching version, try another Python (3.11 to "
        "3.13), then run the same command again",
    )


def answers(python: Path, statement: str) -> bool:
    """Whether an interpreter can be started and runs a statement without an error."""
    try:
        done = subprocess.run(
            [str(python), "-c", statement],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
    except OSError:
        return False
    return done.returncode == 0
