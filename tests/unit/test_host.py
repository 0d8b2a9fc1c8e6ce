"""A ComfyUI that is too old is told so when it loads the pack; the table of versions is true."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import ModuleType, SimpleNamespace

import host_table
import pytest
from setup.comfyui_versions import RELEASES
from stepcache.cache_core.errors import UnsupportedHostError
from stepcache.nodes import requirement as host

ROOT = Path(__file__).resolve().parents[2]

Fake = Callable[..., None]


class NewInput:
    def __init__(self, id: str, advanced: bool = False) -> None: ...


class OldInput:
    def __init__(self, id: str) -> None: ...


@pytest.fixture
def comfyui(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Puts the modules that the pack looks at in place of a ComfyUI's."""

    def fake(
        version: str | None = "0.30.0", *, without: tuple[str, ...] = (), **over: type
    ) -> None:
        wrappers = {name.split(".")[1]: name for name in host.NEEDS["comfy.patcher_extension"]}
        kept = {name: text for name, text in wrappers.items() if name not in without}
        int_input = SimpleNamespace(Input=over.get("int_input", NewInput))
        io = SimpleNamespace(ComfyNode=object, Schema=object, NodeOutput=object, Int=int_input)
        contents = {
            "folder_paths": {},
            "comfyui_version": {"__version__": version},
            "comfy": {},
            "comfy.patcher_extension": {"WrappersMP": SimpleNamespace(**kept)},
            "comfy_api": {},
            "comfy_api.latest": {"ComfyExtension": object, "io": io},
        }
        for name, content in contents.items():
            module = ModuleType(name)
            vars(module).update(content)
            is_there = name not in without and not (name == "comfyui_version" and version is None)
            monkeypatch.setitem(sys.modules, name, module if is_there else None)

    return fake


def load_pack(monkeypatch: pytest.MonkeyPatch) -> None:
    """Import the pack anew, as ComfyUI does."""
    spec = importlib.util.spec_from_file_location(
        "loaded_pack", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Set once, so that they are taken out again at the end; imported under these names later.
    names = ("", ".nodes", ".nodes.host", ".cache_core", ".cache_core.errors")
    for name in names:
        monkeypatch.setitem(sys.modules, f"loaded_pack{name}", module)
        if name:
            del sys.modules[f"loaded_pack{name}"]
    spec.loader.exec_module(module)


def test_a_comfyui_that_has_everything_loads_the_pack(
    comfyui: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    comfyui()
    load_pack(monkeypatch)


def test_an_old_comfyui_is_told_what_to_do_when_it_loads_the_pack(
    comfyui: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    comfyui("0.3.40", without=("comfy_api", "comfy_api.latest", "PREDICT_NOISE"))
    with pytest.raises(ImportError) as refusal:
        load_pack(monkeypatch)
    assert str(refusal.value) == (
        "Step Cache: this is ComfyUI 0.3.40, which has no "
        "comfy.patcher_extension.WrappersMP.PREDICT_NOISE, no comfy_api.latest; expected ComfyUI "
        "0.16.3 or newer. Update ComfyUI with its updater, ComfyUI-Manager or git pull, and start "
        "it again"
    )


def test_inputs_that_cannot_be_advanced_are_too_old(comfyui: Fake) -> None:
    comfyui("0.9.2", int_input=OldInput)
    with pytest.raises(UnsupportedHostError, match=r"0\.9\.2, which has no advanced inputs"):
        host.require()


def test_a_comfyui_of_unknown_version_is_named_as_such(comfyui: Fake) -> None:
    comfyui(None, without=("comfy", "comfy.patcher_extension"))
    with pytest.raises(UnsupportedHostError, match=r"does not state its version, .*no comfy\.pat"):
        host.require()


def test_a_broken_comfyui_is_not_taken_for_an_old_one(
    comfyui: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    comfyui()
    for name in ("comfy_api", "comfy_api.latest"):
        del sys.modules[name]
    (tmp_path / "comfy_api" / "latest").mkdir(parents=True)
    (tmp_path / "comfy_api" / "latest" / "__init__.py").write_text("import a_missing_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_missing_package"):
        host.require()


def test_the_oldest_version_is_the_same_everywhere() -> None:
    assert RELEASES[0].version == host.OLDEST
    stated = re.search(r'requires-comfyui = ">=(.+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert stated is not None and stated[1] == host.OLDEST


# The table.

JUNIT = """<testsuites><testsuite>
<testcase classname="tests.comfy.test_nodes" name="test_a"/>
<testcase classname="tests.comfy.test_nodes" name="test_b"><failure message="no"/></testcase>
<testcase classname="tests.comfy.test_nodes" name="test_c"><error message="no"/></testcase>
<testcase classname="" name="tests.comfy.test_supir">
<skipped message="SUPIR is younger than ComfyUI 0.16.3"/></testcase>
<testcase classname="x" name="test_d"><skipped message="Lens is younger than ComfyUI 0.16.3"/>
</testcase>
<testcase classname="x" name="test_e"><skipped message="Lens is younger than ComfyUI 0.16.3"/>
</testcase>
<testcase classname="x" name="test_f"><skipped message="no GPU"/></testcase>
</testsuite></testsuites>
"""


def test_the_committed_table_shows_the_committed_records() -> None:
    text = host_table.TABLE.read_text(encoding="utf-8")
    assert text == host_table.render(host_table.read()), "run python scripts/host_table.py"


def test_a_run_is_recorded_with_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_table, "RECORDS", tmp_path / "hosts.json")
    monkeypatch.setattr(host_table, "TABLE", tmp_path / "hosts.md")
    junit = tmp_path / "junit.xml"
    junit.write_text(JUNIT)
    host_table.record("0.16.3", host_table.outcome_of(junit, date(2026, 11, 21)))
    host_table.record("0.18.2", host_table.Outcome("2026-11-22", 7, (), {}, ("a::b",)))
    text = (tmp_path / "hosts.md").read_text(encoding="utf-8")
    assert (
        "| 0.16.3 | 2026-11-21 | 1 | 2 | 0 | 4 |\n| 0.18.2 | 2026-11-22 | 7 | 0 | 1 | 0 |\n" in text
    )
    assert "* 0.18.2, mended: a::b\n" in text
    assert "| 0.30.0 | not recorded | | | | |\n" in text
    assert (
        "* 0.16.3, failed: tests.comfy.test_nodes::test_b, tests.comfy.test_nodes::test_c" in text
    )
    assert "* 0.16.3, skipped as younger than this version: Lens (2), SUPIR (1)\n" in text
    assert "* 0.16.3, skipped for another reason: no GPU (1)\n" in text
