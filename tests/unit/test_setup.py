"""Set-up: what is half made is never taken for whole, and every failure says what to do."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from setup import environment, stamps, tools
from setup.environment import UNFINISHED, Environment, Stage
from setup.errors import StepError
from setup.progress import StepLine

FIRST = Stage("first", "first packages", (("one",),), 1)
SECOND = Stage("second", "second packages", (("two",), ("--no-deps", "three")), 1)


class Commands:
    """Stands in for the programs that set-up starts, and can be told to fail."""

    def __init__(self) -> None:
        self.seen: list[list[str]] = []
        self.failing: str | None = None

    def __call__(self, line: StepLine, step: str, command: Sequence[object], *_: object) -> None:
        words = [str(word) for word in command]
        self.seen.append(words)
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


def test_an_environment_whose_stage_failed_is_made_again(
    tmp_path: Path, commands: Commands
) -> None:
    folder = tmp_path / "venv"
    commands.failing = "two"
    with pytest.raises(StepError, match="second packages"):
        Environment(folder).ensure([FIRST, SECOND])
    half_installed = folder / "half-installed"
    half_installed.touch()
    commands.failing = None
    commands.seen.clear()
    Environment(folder).ensure([FIRST, SECOND])
    assert not half_installed.exists()
    assert commands.installed == ["one", "two", "three"]


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


def test_a_full_disk_and_a_missing_network_are_recognised() -> None:
    for words, remedy in (("No space left on device", "disk space"), ("ProxyError", "network")):
        script = f"raise SystemExit({words!r})"
        with pytest.raises(StepError) as error:
            tools.run_tool(StepLine("x", io.StringIO()), "s", [sys.executable, "-c", script], "do")
        assert remedy in error.value.remedy


def test_a_missing_tool_is_a_failed_step(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="nothing-here"):
        tools.run_tool(StepLine("x", io.StringIO()), "s", [tmp_path / "nothing-here"], "do")
