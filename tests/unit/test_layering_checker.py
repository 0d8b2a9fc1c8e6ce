"""What checks who may know whom flags what it must, and lets pass what it may."""

from __future__ import annotations

import pytest
from layering import HOST, LOAD, find_cycle, graph, imports_of, run_python, violations

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
