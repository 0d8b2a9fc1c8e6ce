"""Set-up: what is half made is never taken for whole, and every failure says what to do."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from setup import environment, stamps, tools
from setup.environment import UNFINISHED, Environment, Stage
from setup.errors import StepError
from setup.prepare import Runtime
from setup.progress import StepLine
from setup.start import set_up

FIRST = Stage("first", "first packages", (("one",),), 1)
SECOND = Stage("second", "second packages", (("two",), ("--no-deps", "three")), 1)


class Commands:
    """Stands in for the programs that set-up starts, and can be told to fail."""

    def __init__(self) -> None:
        self.seen: list[list[str]] = []
        self.failing: str | None = None
        self.puts_into_place: Path | None = None
        self.interrupted_at: int | None = None

    def __call__(self, line: StepLine, step: str, command: Sequence[object], *_: object) -> None:
        words = [str(word) for word in command]
        self.seen.append(words)
        if self.interrupted_at == len(self.seen):
            raise KeyboardInterrupt
        if self.puts_into_place is not None and "install" in words:
            self.puts_into_place.mkdir(parents=True, exist_ok=True)
        if self.failing is not None and self.failing in words:
            raise StepError(step, "no network", "try again")
        if "venv" in words:
            python = environment.python_in(Path(words[-1]))
            python.parent.mkdir(parents=True)
            python.touch()
            (Path(words[-1]) / "pyvenv.cfg").touch()

    @property
    def installed(self) -> list[str]:
        return [words[-1] for words in self.seen if "install" in words]


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    fake = Commands()
    monkeypatch.setattr(environment, "run_tool", fake)
    monkeypatch.setattr(environment, "answers", lambda python, statement: True)
    return fake


def test_a_new_environment_is_made_stage_by_stage(tmp_path: Path, commands: Commands) -> None:
    folder = tmp_path / "venv"
    Environment(folder).ensure([FIRST, SECOND])
    assert commands.installed == ["one", "two", "three"]
    assert not (folder / UNFINISHED).exists()


def test_the_second_time_starts_no_program(tmp_path: Path, commands: Commands) -> None:
    Environment(tmp_path / "venv").ensure([FIRST, SECOND])
    commands.seen.clear()
    Environment(tmp_path / "venv").ensure([FIRST, SECOND])
    assert commands.seen == []


PACKAGES = ("lib/python3.11/site-packages", "Lib/site-packages")


@pytest.mark.parametrize("packages", PACKAGES)
def test_an_environment_in_which_pip_broke_off_is_made_again(
    tmp_path: Path, commands: Commands, packages: str
) -> None:
    folder = tmp_path / "venv"
    half_installed = folder / packages / "half-installed"
    commands.failing = "two"
    Environment(folder).ensure([FIRST])
    commands.puts_into_place = half_installed
    with pytest.raises(StepError, match="second packages"):
        Environment(folder).ensure([FIRST, SECOND])
    assert half_installed.exists()
    commands.puts_into_place = None
    commands.failing = None
    commands.seen.clear()
    Environment(folder).ensure([FIRST, SECOND])
    assert not half_installed.exists()
    assert commands.installed == ["one", "two", "three"]


def test_what_was_whole_stays_when_a_download_failed(tmp_path: Path, commands: Commands) -> None:
    commands.failing = "two"
    with pytest.raises(StepError, match="second packages"):
        Environment(tmp_path / "venv").ensure([FIRST, SECOND])
    commands.failing = None
    commands.seen.clear()
    Environment(tmp_path / "venv").ensure([FIRST, SECOND])
    assert commands.installed == ["two", "three"]


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_ctrl_c_at_every_step_leaves_what_the_next_start_can_use(
    tmp_path: Path, commands: Commands, at: int
) -> None:
    folder = tmp_path / "venv"
    commands.interrupted_at = at
    with pytest.raises(KeyboardInterrupt):
        Environment(folder).ensure([FIRST, SECOND])
    commands.interrupted_at = None
    Environment(folder).ensure([FIRST, SECOND])
    assert set(commands.installed) == {"one", "two", "three"}
    assert commands.installed.count("one") == (2 if at == 2 else 1)
    assert not (folder / UNFINISHED).exists()


def test_an_environment_killed_while_it_was_created_is_made_again(
    tmp_path: Path, commands: Commands
) -> None:
    folder = tmp_path / "venv"
    commands.failing = "venv"
    with pytest.raises(StepError, match="virtual environment"):
        Environment(folder).ensure([])
    assert (folder / UNFINISHED).exists()
    commands.failing = None
    Environment(folder).ensure([FIRST])
    assert commands.installed == ["one"]


def test_an_environment_whose_python_is_gone_is_made_again(
    tmp_path: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    Environment(tmp_path / "venv").ensure([FIRST])
    commands.seen.clear()
    monkeypatch.setattr(environment, "answers", lambda python, statement: False)
    Environment(tmp_path / "venv").ensure([FIRST])
    assert commands.installed == ["one"]


def test_a_stage_with_other_packages_is_installed_again_alone(
    tmp_path: Path, commands: Commands
) -> None:
    Environment(tmp_path / "venv").ensure([FIRST, SECOND])
    commands.seen.clear()
    newer = Stage("second", "second packages", (("two==2",),), 1)
    Environment(tmp_path / "venv").ensure([FIRST, newer])
    assert commands.installed == ["two==2"]


def test_a_folder_that_is_no_environment_is_left_alone(tmp_path: Path, commands: Commands) -> None:
    folder = tmp_path / "venv"
    folder.mkdir()
    (folder / "thesis.txt").touch()
    with pytest.raises(StepError, match="not a virtual environment"):
        Environment(folder).ensure([FIRST])
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_too_little_disk_space_is_refused_before_installing(
    tmp_path: Path, commands: Commands
) -> None:
    huge = Stage("huge", "huge packages", (("one",),), 10**18)
    with pytest.raises(StepError, match=r"GB free; 1000000000\.0 GB are needed"):
        Environment(tmp_path / "venv").ensure([huge])
    assert commands.installed == []


@pytest.mark.parametrize("content", ["", "{", '{"a": "1"', "[]", '{"a": "2"}'])
def test_a_damaged_or_other_stamp_does_not_count(tmp_path: Path, content: str) -> None:
    stamp = tmp_path / "stamp.json"
    stamp.write_text(content)
    assert not stamps.is_stamped(stamp, {"a": "1"})
    stamps.write_stamp(stamp, {"a": "1"})
    assert stamps.is_stamped(stamp, {"a": "1"})


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    with pytest.raises(OSError):
        stamps.write_atomically(taken, "text")
    assert list(tmp_path.iterdir()) == [taken]


def test_a_failing_tool_is_quoted() -> None:
    script = "print('first'); print('last words'); raise SystemExit(3)"
    with pytest.raises(StepError) as error:
        tools.run_tool(StepLine("x", io.StringIO()), "step", [sys.executable, "-c", script], "do")
    assert "last words" in error.value.why
    assert str(error.value).startswith("FAILED      step\n")
    assert str(error.value).endswith("what to do: do")


def test_a_full_disk_is_recognised() -> None:
    script = "raise SystemExit('No space left on device')"
    with pytest.raises(StepError, match="free some disk space"):
        tools.run_tool(StepLine("x", io.StringIO()), "s", [sys.executable, "-c", script], "do")


PAGE = b"<!DOCTYPE html><html><body></body></html>"


@contextlib.contextmanager
def registry(answer: bytes | None) -> Iterator[str]:
    """A package registry that gives one answer and hangs up; None: nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        if answer is None:
            yield address
            return
        listener.listen()

        def hang_up() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(answer)

        thread = threading.Thread(target=hang_up)
        thread.start()
        try:
            yield address
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def whole(page: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n\r\n"
    return head.encode() + page


@pytest.mark.parametrize(
    ("answer", "as_proxy", "remedy"),
    [
        (None, False, "check the network"),
        (b"", False, "check the network"),
        (None, True, "check the network"),
        (b"", True, "check the network"),
        (whole(PAGE), False, "has no such version for this Python"),
    ],
    ids=["no network", "cut off", "no proxy", "proxy cuts off", "package missing"],
)
def test_what_pip_meets_on_the_network_becomes_a_sentence(
    answer: bytes | None, as_proxy: bool, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with registry(answer) as address:
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_RETRIES", "1")
        monkeypatch.setenv("PIP_PROXY" if as_proxy else "PIP_INDEX_URL", address)
        if as_proxy:
            monkeypatch.setenv("PIP_INDEX_URL", "https://nowhere.invalid/simple")
        with pytest.raises(StepError) as error:
            line = StepLine("x", io.StringIO())
            environment.pip_install(Path(sys.executable), line, "s", ["stepcache-no-such-package"])
    assert remedy in str(error.value)
    assert "goes on where it can" in str(error.value)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EROFS, "copy the checkout to a folder that you may write in"),
        (errno.EACCES, "copy the checkout to a folder that you may write in"),
        (errno.ENOSPC, "free some disk space"),
        (errno.EIO, "mend this"),
    ],
)
def test_what_the_system_refuses_becomes_a_sentence(
    number: int, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def prepare() -> Runtime:
        raise OSError(number, os.strerror(number), "/somewhere/.venv")

    with pytest.raises(SystemExit) as ended:
        set_up(prepare)
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert os.strerror(number) in told and remedy in told


def test_ctrl_c_during_set_up_is_told_and_has_a_status_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def prepare() -> Runtime:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        set_up(prepare)
    assert ended.value.code == 130
    assert "run the same command again: it goes on where it can" in capsys.readouterr().err


def test_a_missing_tool_is_a_failed_step(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="nothing-here"):
        tools.run_tool(StepLine("x", io.StringIO()), "s", [tmp_path / "nothing-here"], "do")
