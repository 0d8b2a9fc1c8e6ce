"""Set-up: what is half made is never taken for whole, and every failure says what to do."""

from __future__ import annotations

import io
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from setup import comfyui_given, comfyui_source, environment, stamps, tools
from setup.environment import UNFINISHED, Environment, Stage
from setup.errors import StepError
from setup.prepare import comfyui_stage
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


def pack(path: Path, files: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


def test_only_the_comfyui_tree_is_unpacked(tmp_path: Path) -> None:
    archive = pack(
        tmp_path / "a.tar.gz",
        {
            "p-1/vendor/ComfyUI/main.py": "main",
            "p-1/vendor/ComfyUI/comfy/sd.py": "sd",
            "p-1/vendor/ComfyUI/../../../escaped.py": "no",
            "p-1/other/setup.py": "no",
        },
    )
    tree = comfyui_source.unpack(archive, tmp_path / "tree", "step")
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.py")}
    assert found == {"tree/main.py", "tree/comfy/sd.py"}
    assert (tree / "main.py").read_text() == "main"


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.tar.gz", {"p-1/vendor/ComfyUI/main.py": "main" * 5000})
    archive.write_bytes(archive.read_bytes()[:60])
    with pytest.raises(StepError, match="unpacking failed"):
        comfyui_source.unpack(archive, tmp_path / "tree", "step")


def test_another_archive_is_refused_by_its_hash(tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.tar.gz", {"p-1/vendor/ComfyUI/main.py": "main"})
    with pytest.raises(StepError, match="expected de5d0c32"):
        comfyui_source.check_hash(archive, comfyui_source.SHA256, "step")


def test_a_tree_without_its_stamp_is_unpacked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comfyui_source, "HOSTS", tmp_path)
    monkeypatch.setattr(comfyui_source, "OWN_COMFYUI", tmp_path / "ComfyUI")
    monkeypatch.setattr(comfyui_source, "check_hash", lambda *_: None)
    monkeypatch.setattr(
        comfyui_source,
        "_download",
        lambda python, folder, *_: pack(
            folder / "a.tar.gz", {"p-1/vendor/ComfyUI/main.py": "whole"}
        ),
    )
    half = tmp_path / "ComfyUI"
    half.mkdir()
    (half / "main.py").write_text("half")
    assert comfyui_source.ensure_comfyui(Path(sys.executable)) == half
    assert (half / "main.py").read_text() == "whole"
    (half / "main.py").write_text("used")
    comfyui_source.ensure_comfyui(Path(sys.executable))
    assert (half / "main.py").read_text() == "used"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ComfyUI", comfyui_source.STAMP]


def make_comfyui(folder: Path, version: str = "0.30.0") -> Path:
    (folder / "comfy").mkdir(parents=True)
    (folder / "main.py").touch()
    (folder / "comfyui_version.py").write_text(f'__version__ = "{version}"\n')
    return folder


def test_the_option_goes_before_the_variable(tmp_path: Path) -> None:
    one, two = make_comfyui(tmp_path / "one"), make_comfyui(tmp_path / "two")
    variables = {"COMFYUI_PATH": str(two)}
    assert comfyui_given.given_comfyui(one, variables) == one.resolve()
    assert comfyui_given.given_comfyui(None, variables) == two.resolve()


def test_the_folder_around_a_portable_comfyui_will_do(tmp_path: Path) -> None:
    inner = make_comfyui(tmp_path / "portable" / "ComfyUI")
    assert comfyui_given.given_comfyui(tmp_path / "portable", {}) == inner.resolve()


def test_what_is_no_comfyui_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="holds no ComfyUI"):
        comfyui_given.given_comfyui(tmp_path, {})


def test_the_comfyui_around_the_pack_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    around = make_comfyui(tmp_path / "comfyui")
    monkeypatch.setattr(comfyui_given, "ROOT", around / "custom_nodes" / "pack")
    assert comfyui_given.given_comfyui(None, {}) == around
    monkeypatch.setattr(comfyui_given, "ROOT", around / "somewhere" / "pack")
    assert comfyui_given.given_comfyui(None, {}) is None


def test_the_one_that_was_unpacked_here_is_not_somebody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = make_comfyui(tmp_path / ".comfyui" / "ComfyUI")
    monkeypatch.setattr(comfyui_given, "OWN_COMFYUI", own)
    assert comfyui_given.given_comfyui(None, {"COMFYUI_PATH": str(own)}) is None


def test_a_comfyui_without_a_python_is_refused_with_the_places_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comfyui_given, "answers", lambda python, statement: False)
    with pytest.raises(StepError, match="python_embeded"):
        comfyui_given.python_of(make_comfyui(tmp_path / "one"))


@pytest.mark.parametrize(
    ("version", "older"),
    [("0.3.64", True), ("0.29.9", True), ("0.30.0", False), ("0.31", False), ("unknown", True)],
)
def test_versions_are_compared_as_numbers(version: str, older: bool) -> None:
    assert comfyui_given.is_older_than_tested(version) is older


def test_a_comfyui_states_its_version(tmp_path: Path) -> None:
    assert comfyui_given.version_of(make_comfyui(tmp_path / "one", "0.31.2")) == "0.31.2"
    assert comfyui_given.version_of(tmp_path) == "unknown"


def test_torch_is_left_out_of_comfyuis_requirements(tmp_path: Path) -> None:
    text = "torch\ntorchsde\ntorchvision\ntorchaudio\nnumpy>=1.25.0\n\n#optional:\nav>=16\n"
    (tmp_path / "requirements.txt").write_text(text)
    assert comfyui_stage(tmp_path).installs == (
        ("--no-deps", "torchvision", "torchaudio"),
        ("torchsde", "numpy>=1.25.0", "av>=16"),
    )
