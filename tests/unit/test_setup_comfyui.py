"""Set-up of ComfyUI: each tested version is pinned and whole; yours is used where you name it."""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path

import pytest
from setup import comfyui_given, comfyui_source, comfyui_versions
from setup.comfyui_versions import NEWEST, RELEASES, release_of
from setup.errors import StepError
from setup.prepare import comfyui_stage


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
        comfyui_source.check_hash(archive, NEWEST.sha256, "step")


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The versions that are downloaded, each as an archive that says which it is."""
    seen: list[str] = []

    def download(python: Path, release: comfyui_versions.Release, folder: Path, *_: object) -> Path:
        seen.append(release.version)
        files = {"p-1/vendor/ComfyUI/main.py": f"whole {release.version}"}
        return pack(folder / "a.tar.gz", files)

    monkeypatch.setattr(comfyui_versions, "HOSTS", tmp_path)
    monkeypatch.setattr(comfyui_source, "check_hash", lambda *_: None)
    monkeypatch.setattr(comfyui_source, "_download", download)
    return seen


def test_a_tree_without_its_stamp_is_unpacked_again(tmp_path: Path, downloads: list[str]) -> None:
    half = tmp_path / "ComfyUI"
    half.mkdir()
    (half / "main.py").write_text("half")
    assert comfyui_source.ensure_comfyui(Path(sys.executable), NEWEST) == half
    assert (half / "main.py").read_text() == f"whole {NEWEST.version}"
    (half / "main.py").write_text("used")
    comfyui_source.ensure_comfyui(Path(sys.executable), NEWEST)
    assert (half / "main.py").read_text() == "used"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ComfyUI", comfyui_source.STAMP]
    assert downloads == [NEWEST.version]


def test_every_version_has_a_folder_of_its_own(tmp_path: Path, downloads: list[str]) -> None:
    for _ in range(2):
        for release in RELEASES:
            tree = comfyui_source.ensure_comfyui(Path(sys.executable), release)
            assert (tree / "main.py").read_text() == f"whole {release.version}"
    assert downloads == [release.version for release in RELEASES]
    assert (tmp_path / "0.16.3" / "ComfyUI" / "main.py").is_file()


def test_a_version_that_nobody_knows_is_refused_with_those_that_are() -> None:
    assert release_of("0.16.3").package == "1.1.0"
    with pytest.raises(StepError, match=r"knows no ComfyUI 0\.16; it knows 0\.16\.3, .*0\.30"):
        release_of("0.16")


def test_versions_stand_oldest_first_and_each_archive_once() -> None:
    numbers = [comfyui_versions.numbers_of(release.version) for release in RELEASES]
    assert numbers == sorted(numbers)
    assert len({release.sha256 for release in RELEASES}) == len(RELEASES)
    assert all(len(release.sha256) == 64 for release in RELEASES)


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
    monkeypatch.setattr(comfyui_versions, "HOSTS", tmp_path / ".comfyui")
    assert comfyui_given.given_comfyui(None, {"COMFYUI_PATH": str(own)}) is None


def test_a_comfyui_without_a_python_is_refused_with_the_places_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comfyui_given, "answers", lambda python, statement: False)
    with pytest.raises(StepError, match="python_embeded"):
        comfyui_given.python_of(make_comfyui(tmp_path / "one"))


@pytest.mark.parametrize(
    ("version", "remark"),
    [
        ("0.3.64", "older than the oldest tested, 0.16.3"),
        ("0.16.3", ""),
        ("0.29.9", ""),
        ("0.30.0", ""),
        ("0.31", "newer than the newest tested, 0.30.0"),
        ("unknown", "older than the oldest tested, 0.16.3"),
    ],
)
def test_a_version_outside_the_tested_range_is_remarked_on(version: str, remark: str) -> None:
    assert comfyui_given.remark_on(version) == remark


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
