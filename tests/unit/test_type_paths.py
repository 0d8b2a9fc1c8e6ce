"""The folders that the type checker is shown lead where they should, and follow when that moves."""

from __future__ import annotations

from pathlib import Path

import pytest
from setup.layout import ROOT
from setup.type_paths import link


def folder(path: Path) -> Path:
    path.mkdir()
    (path / "name").write_text(path.name)
    return path


def test_a_link_is_made_and_made_again_where_it_leads_elsewhere(tmp_path: Path) -> None:
    place = tmp_path / "new" / "link"
    for name in ("first", "second"):
        to = folder(tmp_path / name)
        for _ in range(2):
            link(place, to)
            assert (place / "name").read_text() == name
    assert (tmp_path / "first" / "name").exists()


def test_a_link_to_what_is_gone_is_replaced(tmp_path: Path) -> None:
    place = tmp_path / "link"
    link(place, folder(tmp_path / "first"))
    (tmp_path / "first").rename(tmp_path / "moved")
    link(place, tmp_path / "moved")
    assert (place / "name").read_text() == "first"


def test_a_folder_of_somebody_is_left_alone(tmp_path: Path) -> None:
    place = folder(tmp_path / "link")
    with pytest.raises(OSError):
        link(place, folder(tmp_path / "first"))
    assert (place / "name").read_text() == "link"


def test_git_ignores_them() -> None:
    assert "/.typing/" in (ROOT / ".gitignore").read_text("utf-8").splitlines()
