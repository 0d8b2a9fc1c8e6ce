"""The genuine ComfyUI server as a child process that never outlives the demo."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from setup.errors import StepError
from setup.progress import StepLine

from .base_folder import MODEL_PATHS, fill_base_folder

STEP = "ComfyUI server"
HOST = "127.0.0.1"
START_SECONDS = 240.0
STOP_SECONDS = 10.0
LOG_LINES = 25
ATTEMPTS = 3
PORT_TAKEN_WORDS = ("address already in use", "10048", "only one usage of each socket address")


@contextlib.contextmanager
def running_server(
    python: Path,
    comfyui: Path,
    log: Path,
    port: int | None = None,
    checkpoint: Path | None = None,
    options: Sequence[str] = (),
    base: Path | None = None,
) -> Iterator[str]:
    """Start a server, wait until it answers, and end it on the way out, whatever happened.

    Args:
        python: the interpreter that runs ComfyUI.
        comfyui: the folder with its `main.py`.
        log: where the server's output goes.
        port: a port to insist on; by default any free one of the loopback interface.
        checkpoint: the file of a model that loaders are to offer.
        options: further options of `main.py`.
        base: a folder for workflows, calibrations and pictures that stays; by default one that goes
            away with the server.

    Yields:
        The address, e.g. "http://127.0.0.1:8188".

    Raises:
        StepError: the port is taken, or the server ends or stays silent.
    """
    with started_server(python, comfyui, log, port, checkpoint, options, base) as (_, address):
        yield address


@contextlib.contextmanager
def started_server(
    python: Path,
    comfyui: Path,
    log: Path,
    port: int | None = None,
    checkpoint: Path | None = None,
    options: Sequence[str] = (),
    base: Path | None = None,
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """As `running_server`, for who sends it signals: the process, and its address."""
    if port is not None:
        require_free_port(port)
    with contextlib.ExitStack() as clean_up:
        if base is None:
            scratch = tempfile.TemporaryDirectory(prefix="stepcache-", ignore_cleanup_errors=True)
            base = Path(clean_up.enter_context(scratch))
        fill_base_folder(base, checkpoint)
        for attempt in range(ATTEMPTS):
            chosen = port or free_port()
            process = _start(python, comfyui, base, chosen, log, options)
            clean_up.callback(_stop, process)
            address = f"http://{HOST}:{chosen}"
            if _wait_until_ready(process, address, log):
                yield process, address
                return
            if port is not None or attempt == ATTEMPTS - 1 or not _port_was_taken(log):
                raise StepError(
                    STEP,
                    f"it ended while starting (status {process.returncode}); its last lines:\n"
                    f"{log_tail(log)}",
                    f"read the lines above; the whole log is {log}",
                )


def require_free_port(port: int) -> None:
    """Refuse a port that something else listens on.

    Raises:
        StepError: the port cannot be bound.
    """
    with socket.socket() as probe:
        if os.name != "nt":
            # As the server does it: a port that has just been left counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise StepError(
                STEP,
                f"port {port} of {HOST} is in use ({error.strerror or error})",
                "choose another one with --port, or leave --port away to get a free one",
            ) from error


def free_port() -> int:
    """A port of the loopback interface that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def log_tail(log: Path, words: Sequence[str] = ()) -> str:
    """The end of the log, or what follows the first line with one of some words."""
    text = log.read_text(encoding="utf-8", errors="replace")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    for number, line in enumerate(lines):
        if any(word in line for word in words):
            return "\n".join(lines[number : number + LOG_LINES])
    return "\n".join(lines[-LOG_LINES:])


def _start(
    python: Path, comfyui: Path, base: Path, port: int, log: Path, options: Sequence[str]
) -> subprocess.Popen[bytes]:
    command = [str(python), str(comfyui / "main.py"), "--listen", HOST, "--port", str(port)]
    command += ["--base-directory", str(base), "--database-url", "sqlite:///:memory:"]
    command += ["--extra-model-paths-config", str(base / MODEL_PATHS)]
    command += ["--disable-auto-launch", "--disable-api-nodes", *options]
    with log.open("wb") as file:
        return subprocess.Popen(
            command,
            cwd=comfyui,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={"PYTHONIOENCODING": "utf-8", **os.environ, "PYTHONUNBUFFERED": "1"},
            # Ctrl-C must reach the demo alone: the demo ends the server once it has tidied up.
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            start_new_session=True,
        )


def _wait_until_ready(process: subprocess.Popen[bytes], address: str, log: Path) -> bool:
    """Whether the server answers; False if it has ended."""
    line = StepLine(STEP)
    while line.seconds < START_SECONDS:
        if process.poll() is not None:
            return False
        with contextlib.suppress(OSError, urllib.error.URLError, ValueError):
            with urllib.request.urlopen(f"{address}/system_stats", timeout=2) as answer:
                stats = json.load(answer)
            line.done(f"ComfyUI {stats['system'].get('comfyui_version', '?')} at {address}")
            return True
        line.detail("starting")
        time.sleep(0.3)
    raise StepError(
        STEP,
        f"no answer in {START_SECONDS:.0f} s; its last lines:\n{log_tail(log)}",
        f"read the lines above; the whole log is {log}",
    )


def _port_was_taken(log: Path) -> bool:
    text = log.read_text(encoding="utf-8", errors="replace").lower()
    return any(words in text for words in PORT_TAKEN_WORDS)


def _stop(process: subprocess.Popen[bytes]) -> None:
    try:
        if process.poll() is None:
            process.terminate()
            process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        # Also when a second Ctrl-C arrives while waiting.
        if process.poll() is None:
            process.kill()
            process.wait()
