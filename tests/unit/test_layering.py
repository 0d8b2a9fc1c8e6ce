"""Who may know whom. ARCHITECTURE.md states the law, this file reads the sources.

* Imports inside the pack are relative and never run upward; there are no cycles.
* host never knows methods; what stands above both joins them.
* pictures draws: it knows no ComfyUI. audit, previews and pictures know no nodes.
* Everything that counts and decides without tensors can be imported without torch.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from patience import HANG

ROOT = Path(__file__).resolve().parents[2]

FLOORS: tuple[frozenset[str], ...] = (
    frozenset(
        {
            "errors", "decisions", "effort", "samplers", "sites", "clock", "streams", "values",
            "version",
        }
    ),
    frozenset(
        {
            "schedules", "non_uniform", "s_curve", "schedule_file", "plan", "approximators",
            "store", "estimate",
        }
    ),
    frozenset({"rules"}),
    frozenset({"rows", "session", "report", "strips", "outlook", "site_call"}),
    frozenset({"calibration"}),
    frozenset({"methods"}),
    frozenset({"advisor", "proposals"}),
)  # fmt: skip
"""The rooms of cache_core from the ground up. A room may know its own floor and those below."""

WITHOUT_TORCH = (
    "errors", "decisions", "effort", "samplers", "sites", "clock", "streams", "schedules",
    "non_uniform", "s_curve", "schedule_file", "plan", "approximators", "rules", "rows", "strips",
    "outlook", "estimate", "report", "calibration", "methods", "advisor", "proposals",
)  # fmt: skip

HOST = frozenset(
    {
        "comfy", "comfy_api", "comfy_api_nodes", "comfy_config", "comfy_execution", "comfy_extras",
        "comfyui_version", "execution", "folder_paths", "latent_preview", "node_helpers", "nodes",
        "server",
    }
)  # fmt: skip
"""Top-level modules of ComfyUI."""

ABOVE: dict[str, frozenset[str]] = {
    "torch_settings": frozenset({"host"}),
    "pictures": frozenset({"methods"}),
    "previews": frozenset({"methods", "host"}),
    "audit": frozenset({"methods", "host", "torch_settings", "pictures"}),
    "nodes": frozenset({"methods", "host", "torch_settings", "pictures", "previews", "audit"}),
}
"""The rooms beside cache_core, and what each may know of host, of methods with all below them, and
of each other."""

KNOW_COMFYUI = frozenset({"host", "torch_settings", "previews", "audit", "nodes"})

OWN = frozenset(
    {"cache_core", *ABOVE, "stepcache", "comfyui_stepcache", "demo", "scripts", "tests"} - {"nodes"}
)
"""Names by which an absolute import would reach the pack itself or its tools."""


def pack_files() -> dict[str, Path]:
    """The pack's source files by dotted name; the pack itself is the empty name."""
    files = [
        ROOT / "__init__.py",
        *(path for room in ("cache_core", *ABOVE) for path in (ROOT / room).rglob("*.py")),
    ]
    return {_dotted(path): path for path in files}


def _dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(source: str, package: str, modules: Iterable[str]) -> tuple[set[str], set[str]]:
    """Every module that a source imports, wherever in it the statement stands.

    Args:
        source: Python source.
        package: dotted name of the package the source is in.
        modules: dotted names of the pack's modules.

    Returns:
        The pack's modules among them, and the top-level names of the others.
    """
    known = set(modules)
    inner: set[str] = set()
    outer: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            outer |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            outer.add(str(node.module).split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".") if package else []
            if node.level - 1 > len(above):
                inner.add("outside the pack")
                continue
            base = above[: len(above) - (node.level - 1)]
            base += node.module.split(".") if node.module else []
            for alias in node.names:
                target = ".".join([*base, alias.name])
                inner.add(target if target in known else ".".join(base))
    return inner, outer


def package_of(module: str, path: Path) -> str:
    return module if path.name == "__init__.py" else module.rpartition(".")[0]


def room_of(module: str) -> str:
    """The room a module is in: "clock", "methods", "host", "nodes", … "" for the pack."""
    parts = module.split(".")
    if parts[0] == "cache_core":
        return parts[1] if len(parts) > 1 else "cache_core"
    return parts[0]


def floor_of(room: str) -> int | None:
    return next((floor for floor, rooms in enumerate(FLOORS) if room in rooms), None)


def violations(module: str, inner: Iterable[str], outer: Iterable[str]) -> list[str]:
    """What is wrong with the imports of one module."""
    room = room_of(module)
    return [
        *(f"{module} -> {target}" for target in inner if not _may_know(room, room_of(target))),
        *(f"{module} -> {name}: relative imports only" for name in outer if name in OWN),
        *(
            f"{module} -> {name}: {room or 'the pack'} may not know ComfyUI"
            for name in outer
            if name in HOST and room not in KNOW_COMFYUI
        ),
    ]


def _may_know(room: str, target: str) -> bool:
    floor, below = floor_of(room), floor_of(target)
    if room == target:
        return True
    if floor is not None:
        return below is not None and below <= floor
    if room == "host":
        return below is not None and target != "methods"
    if room in ABOVE:
        return target in ABOVE[room] or (below is not None and target in _below(ABOVE[room]))
    return room == "" and target == "nodes"


def _below(rooms: frozenset[str]) -> frozenset[str]:
    """Of the core; where methods may not be known, errors alone."""
    return frozenset().union(*FLOORS) if "methods" in rooms else frozenset({"errors"})


def graph() -> dict[str, set[str]]:
    """For every module of the pack the modules of the pack that it imports."""
    files = pack_files()
    return {
        module: imports_of(path.read_text("utf-8"), package_of(module, path), files)[0]
        for module, path in files.items()
    }


def find_cycle(edges: dict[str, set[str]]) -> list[str] | None:
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return error.args[1]
    return None


def run_python(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process that has the standard paths only, and of this pack nothing."""
    return subprocess.run(
        [sys.executable, "-I", "-c", script, str(ROOT)],
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )


LOAD = """
import importlib, importlib.util, sys

class Refuse:
    def __init__(self, *names):
        self.names = names
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            raise ImportError(f"refused: {name}")

def load(root):
    spec = importlib.util.spec_from_file_location(
        "pack", root + "/__init__.py", submodule_search_locations=[root]
    )
    module = sys.modules["pack"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
"""


# The law, applied to the pack.


@pytest.mark.parametrize("module", pack_files(), ids=lambda module: module or "the pack")
def test_a_module_knows_only_whom_it_may(module: str) -> None:
    files = pack_files()
    path = files[module]
    inner, outer = imports_of(path.read_text("utf-8"), package_of(module, path), files)
    assert violations(module, inner, outer) == []


def test_every_room_has_its_place() -> None:
    above = {"", "cache_core", "host", *ABOVE}
    rooms = {room_of(module) for module in pack_files()} - above
    assert rooms == frozenset().union(*FLOORS), "give a new room a floor in FLOORS"


def test_there_are_no_cycles() -> None:
    # A package imports what is in it; its files do not import the package back.
    assert find_cycle(graph()) is None


def test_what_counts_and_decides_needs_no_torch() -> None:
    names = [f"pack.cache_core.{name}" for name in WITHOUT_TORCH]
    done = run_python(
        f"{LOAD}sys.meta_path.insert(0, Refuse('torch'))\nload(sys.argv[1])\n"
        f"for name in {names!r}:\n    importlib.import_module(name)\nprint('all imported')"
    )
    assert done.stdout.strip() == "all imported", done.stderr


def test_the_pack_can_be_imported_without_comfyui() -> None:
    done = run_python(
        f"{LOAD}sys.meta_path.insert(0, Refuse(*{sorted(HOST)!r}))\n"
        f"print(load(sys.argv[1]).comfy_entrypoint.__name__)"
    )
    assert done.stdout.strip() == "comfy_entrypoint", done.stderr


# The checker, applied to what it must not let pass.


MODULES = frozenset(
    {"", "nodes", "nodes.pab", "cache_core", "cache_core.clock", "cache_core.schedules"}
    | {"cache_core.session", "cache_core.methods", "cache_core.methods.pab", "cache_core.host"}
)


@pytest.mark.parametrize(
    ("module", "package", "source", "expected"),
    [
        ("cache_core.clock", "cache_core", "from .schedules import Interval", "schedules"),
        ("cache_core.clock", "cache_core", "from . import schedules", "schedules"),
        ("cache_core.clock", "cache_core", "def f():\n from .session import Session", "session"),
        ("cache_core.session", "cache_core", "from .methods.pab import PAB", "methods.pab"),
        ("cache_core.session", "cache_core", "from .host import attach", "host"),
        ("cache_core.methods.pab", "cache_core.methods", "from ..host import a", "host"),
        ("cache_core.host.run", "cache_core.host", "from ..methods import PAB", "methods"),
        ("cache_core.host.run", "cache_core.host", "from ...nodes import pab", "nodes.pab"),
        ("cache_core.clock", "cache_core", "from ...outside import x", "outside the pack"),
        ("", "", "from .cache_core.clock import Clock", "cache_core.clock"),
        ("cache_core.session", "cache_core", "import comfy.utils", "may not know ComfyUI"),
        (
            "cache_core.session",
            "cache_core",
            "from comfy_api.latest import io",
            "may not know ComfyUI",
        ),
        ("", "", "import folder_paths", "may not know ComfyUI"),
        ("nodes.pab", "nodes", "from cache_core.methods import PAB", "relative imports only"),
        ("nodes.pab", "nodes", "import stepcache.cache_core", "relative imports only"),
    ],
)
def test_the_checker_flags_a_bad_import(
    module: str, package: str, source: str, expected: str
) -> None:
    (found,) = violations(module, *imports_of(source, package, MODULES))
    assert expected in found


@pytest.mark.parametrize(
    ("module", "package", "source"),
    [
        ("cache_core.schedules", "cache_core", "from .clock import Clock\nimport numpy as np"),
        ("cache_core.methods.pab", "cache_core.methods", "from ..schedules import Interval"),
        ("cache_core.host.run", "cache_core.host", "import comfy\nfrom ..session import S"),
        ("nodes.pab", "nodes", "from ..cache_core.methods import PAB\nfrom comfy_api import io"),
        ("nodes.pab", "nodes", "from ..cache_core.host import attach"),
        ("", "", "from .nodes.pab import ApplyPAB"),
    ],
)
def test_the_checker_lets_good_imports_pass(module: str, package: str, source: str) -> None:
    inner, outer = imports_of(source, package, MODULES)
    assert inner | outer
    assert violations(module, inner, outer) == []


def test_the_checker_reads_the_imports_of_real_files() -> None:
    edges = graph()
    assert "cache_core.clock" in edges["cache_core.session"]
    assert "cache_core.host.wrappers" in edges["cache_core.host.attach"]
    assert "nodes.extension" in edges[""]


def test_the_cycle_finder_finds_a_cycle() -> None:
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": set()}) is None
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) is not None


def test_the_torch_law_would_notice_torch() -> None:
    done = run_python(
        f"{LOAD}sys.meta_path.insert(0, Refuse('torch'))\nload(sys.argv[1])\n"
        f"importlib.import_module('pack.cache_core.values')"
    )
    assert done.returncode != 0
    assert "refused: torch" in done.stderr


def test_the_host_law_would_notice_the_host() -> None:
    done = run_python(
        f"{LOAD}import asyncio\nsys.meta_path.insert(0, Refuse(*{sorted(HOST)!r}))\n"
        f"asyncio.run(load(sys.argv[1]).comfy_entrypoint())"
    )
    assert done.returncode != 0
    assert "refused: comfy" in done.stderr
