"""Who may know whom, in the pack as it is. ARCHITECTURE.md states the law."""

from __future__ import annotations

import pytest
from layering import (
    ABOVE,
    FLOORS,
    HOST,
    LOAD,
    WITHOUT_TORCH,
    find_cycle,
    graph,
    imports_of,
    pack_files,
    package_of,
    room_of,
    run_python,
    violations,
)


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
