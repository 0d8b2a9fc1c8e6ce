"""What people install: the archive and a clone, in a fresh ComfyUI, served and run from there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote

from pack import ROOT

import host
import pytest
from build_archive import NAME, build, packed_files
from bump_version import version_of
from demonstration import server
from patience import HANG, until
from shipped import needs_the_demo

VERSION = version_of(ROOT)
RUN = {
    "nodes", "previews", "audit", "pictures", "torch_settings", "cache_core", "web", "locales",
    "workflows", "calibrations",
}  # fmt: skip
"""Folders that the pack reads when it runs, or that ComfyUI reads for it."""
ENGLISH = "sources.json"
"""What was translated: for whoever translates."""
READ = {"docs"}
"""Folders for people."""
PAPERS = ("LICENSE", "README.md", "ARCHITECTURE.md", "CHANGELOG.md")
FILES = {"__init__.py", "pyproject.toml", *PAPERS}
MAX_BYTES = 2 * 2**20
"""Twice what there is, and less than either of the demo's diffusion models (4.6 and 10.3 MiB)."""
PROMPT = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255},
    },
    "2": {
        "class_type": "StepCacheCompare",
        "inputs": {"plain": ["1", 0], "cached": ["1", 0], "shown": 0},
    },
}
"""What can be run without a model."""

pytestmark = pytest.mark.skipif(
    not (ROOT / ".git").exists(), reason="what is packed is what git tracks: needs a checkout"
)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of this checkout as it lies there, committed or not."""
    path = tmp_path_factory.mktemp("dist") / f"{NAME}-{VERSION}.zip"
    build(ROOT, packed_files(ROOT), path)
    return path


def unpack(archive: Path, pack: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(pack)


def clone(archive: Path, pack: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(pack)], check=True)


@dataclass(frozen=True)
class Installation:
    """One way in which the pack comes into a ComfyUI.

    Args:
        folder: name of the pack's folder in custom_nodes.
        put: makes it.
        base: name of a folder above.
        is_portable: whether all is as near as can be to a portable build of Windows: no git, a
            console in its code page, and a pack's folder in which nothing may be written.
    """

    folder: str
    put: Callable[[Path, Path], None]
    base: str = "ComfyUI"
    is_portable: bool = False

    @property
    def encoding(self) -> str:
        """Of what the server writes to its console."""
        return "cp1252" if self.is_portable else "utf-8"


INSTALLATIONS = {
    "archive": Installation(f"{NAME}-{VERSION}", unpack, "Für ComfyUI windows portable", True),
    "archive in a folder with spaces": Installation("Step Cache copy", unpack),
    "clone": Installation("ComfyUI-StepCache", clone),
}


@dataclass(frozen=True)
class Served:
    """A ComfyUI that runs with one installation.

    Args:
        address: of the server.
        pack: the folder of the pack.
        installed: what was in it before the server started.
    """

    address: str
    pack: Path
    installed: dict[str, bytes]

    @property
    def nodes(self) -> set[str]:
        """Ids of the nodes that this installation should have: each has a help page."""
        return {page.stem for page in (self.pack / "web" / "docs").glob("*.md")}

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.address + quote(path), timeout=HANG) as answer:
            return answer.read()

    def ask(self, path: str, question: Any = None) -> Any:
        """The answer to a GET or, with a question, to a POST, as JSON."""
        data = None if question is None else json.dumps(question).encode()
        with urllib.request.urlopen(self.address + path, data, timeout=HANG) as answer:
            return json.load(answer)


@contextmanager
def serving(
    installation: Installation, archive: Path, folder: Path, log: Path, patch: pytest.MonkeyPatch
) -> Iterator[Served]:
    """A fresh host with the pack and nothing else, while the block runs."""
    packs: dict[Path, dict[str, bytes]] = {}

    def fill(base: Path, _: Path | None) -> None:
        for name in ("custom_nodes", "models", "input", "output", "temp", "user"):
            (base / name).mkdir()
        (base / server.MODEL_PATHS).write_text("{}", encoding="utf-8")
        pack = base / "custom_nodes" / installation.folder
        installation.put(archive, pack)
        set_writable(pack, not installation.is_portable)
        packs[pack] = files_of(pack)

    temporary = folder / installation.base
    temporary.mkdir()
    patch.setattr(tempfile, "tempdir", str(temporary))
    patch.setattr(server, "fill_base_folder", fill)
    # Then whatever appears in the pack's folder was put there by the pack.
    patch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    # Files that are opened in the code page are warned of, and the warning names the pack's folder.
    patch.setenv("PYTHONWARNDEFAULTENCODING", "1")
    options = ["--cpu"]
    if installation.is_portable:
        options.append("--windows-standalone-build")
        patch.setenv("PATH", str(folder / "nothing"))
        patch.setenv("PYTHONNOUSERSITE", "1")  # The builds start Python with -s.
        patch.setenv("PYTHONIOENCODING", installation.encoding)
    python, comfyui = Path(sys.executable), host.comfyui_path()
    with server.running_server(python, comfyui, log, options=options) as address:
        ((pack, installed),) = packs.items()
        try:
            yield Served(address, pack, installed)
        finally:
            set_writable(pack, True)


def set_writable(pack: Path, is_writable: bool) -> None:
    """Allow or forbid writing; root may anyway, which is why the files are compared too."""
    for path in (pack, *pack.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(mode | 0o200 if is_writable else mode & ~0o222)


def test_what_is_in_the_archive(archive: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        names = packed.namelist()
        assert packed.testzip() is None
    paths = [PurePosixPath(name) for name in names]
    assert {str(path) for path in paths if len(path.parts) == 1} == FILES
    assert {path.parts[0] for path in paths if len(path.parts) > 1} == RUN | READ
    tracked = subprocess.check_output(["git", "ls-files", "-z", *RUN], cwd=ROOT, text=True)
    of_run = (name for name in tracked.split("\0") if name and not name.endswith(ENGLISH))
    wanted = {name for name in of_run if not needs_the_demo(ROOT / name)}
    assert {name for name in names if name.split("/")[0] in RUN} == wanted
    workflows = {path for path in paths if path.parts[0] == "workflows"}
    pictures = {path.with_suffix(".json") for path in workflows if path.suffix == ".jpg"}
    assert pictures and pictures <= workflows
    assert {path.suffix for path in paths if path.parts[0] == "docs"} == {".md"}
    assert archive.stat().st_size < MAX_BYTES


def test_the_registry_packs_the_same(archive: Path) -> None:
    """Its command reads git's list line by line, where git writes unusual names in quotes."""
    with zipfile.ZipFile(archive) as packed:
        for name in packed.namelist():
            assert re.fullmatch(r"[ -~]+", name) and not re.search(r'["\\]', name), name
    lines = (ROOT / ".comfyignore").read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if line.startswith("!")]


def test_consoles_of_western_windows_can_show_every_module(archive: Path) -> None:
    """As the lint of comfy-test asks."""
    with zipfile.ZipFile(archive) as packed:
        for name in packed.namelist():
            if name.endswith(".py"):
                packed.read(name).decode("utf-8").encode("cp1252")


@pytest.mark.parametrize("way", INSTALLATIONS)
def test_installed_it_is_served_and_runs(
    way: str, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "server.log"
    installation = INSTALLATIONS[way]
    with serving(installation, archive, tmp_path, log, monkeypatch) as served:
        check_nodes(served)
        if " " not in served.pack.name:  # aiohttp serves no static folder with a space in its name.
            check_web(served)
            check_workflows(served)
        check_languages(served)
        check_strip(served)
        check_run(served)
        assert files_of(served.pack) == served.installed
        assert f'VERSION = "{VERSION}"' in served.installed["cache_core/version.py"].decode()
    lines = log.read_text(encoding=installation.encoding).splitlines()
    # Tracebacks and warnings about the pack would name its folder too.
    (told,) = [line for line in lines if str(served.pack) in line]
    assert told.endswith(f" seconds: {served.pack}")


def files_of(pack: Path) -> dict[str, bytes]:
    """Everything in the pack's folder but git's own."""
    files = {path.relative_to(pack): path for path in all_files(pack)}
    return {p.as_posix(): path.read_bytes() for p, path in files.items() if p.parts[0] != ".git"}


def all_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def check_nodes(served: Served) -> None:
    infos = {name: served.ask(f"/object_info/{name}")[name] for name in served.nodes}
    modules = {info["python_module"] for info in infos.values()}
    assert modules == {f"custom_nodes.{served.pack.name}"}
    calibrations = {path.name for path in (served.pack / "calibrations").iterdir()}
    listed = set(options_of(infos["StepCacheSmoothCache"], "schedule"))
    assert calibrations and calibrations <= listed


def options_of(info: Any, name: str) -> list[str]:
    kind, settings = info["input"]["required"][name]
    return kind if isinstance(kind, list) else settings["options"]


def check_web(served: Served) -> None:
    web = served.pack / "web"
    prefix = f"/extensions/{served.pack.name}/"
    files = {prefix + path.relative_to(web).as_posix(): path for path in all_files(web)}
    for path, file in files.items():
        assert served.get(path) == file.read_bytes(), path
    loaded = {unquote(path) for path in served.ask("/extensions")}
    assert {path for path in files if path.endswith(".js")} <= loaded


def check_workflows(served: Served) -> None:
    workflows = served.pack / "workflows"
    listed = served.ask("/api/workflow_templates")[served.pack.name]
    assert sorted(listed) == sorted(path.stem for path in workflows.glob("*.json"))
    for file in workflows.iterdir():
        path = f"/api/workflow_templates/{served.pack.name}/{file.name}"
        assert served.get(path) == file.read_bytes()


def check_languages(served: Served) -> None:
    languages = served.ask("/i18n")
    files = list((served.pack / "locales").glob("*/nodeDefs.json"))
    assert files
    for file in files:
        names = json.loads(file.read_text(encoding="utf-8"))
        assert languages[file.parent.name]["nodeDefs"].items() >= names.items()


def check_strip(served: Served) -> None:
    question = {"node": "StepCacheApplyPAB", "steps": 8, "inputs": {"self_attention": 2}}
    (answer,) = served.ask("/stepcache/preview", [question])
    assert answer["error"] is None
    assert set(answer["strips"]["self_attention"]) == {"C", "R"}


def check_run(served: Served) -> None:
    queued = served.ask("/prompt", {"prompt": PROMPT})
    assert queued["node_errors"] == {}
    (run,) = until(lambda: served.ask(f"/history/{queued['prompt_id']}")).values()
    assert run["status"]["status_str"] == "success"
    assert "same to the last bit" in run["outputs"]["2"]["text"][0]
