"""The law of who may know whom, as data, and what reads the sources for it.

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

from pack import ROOT

from patience import HANG

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
    frozenset({"block_rows", "session", "report", "strips", "outlook", "site_call"}),
    frozenset({"calibration"}),
    frozenset({"methods"}),
    frozenset({"advisor", "proposals"}),
)  # fmt: skip
"""The rooms of cache_core from the ground up. A room may know its own floor and those below."""

WITHOUT_TORCH = (
    "errors", "decisions", "effort", "samplers", "sites", "clock", "streams", "schedules",
    "non_uniform", "s_curve", "schedule_file", "plan", "approximators", "rules", "block_rows",
    "strips", "outlook", "estimate", "report", "calibration", "methods", "advisor", "proposals",
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
