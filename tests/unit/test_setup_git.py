"""Set-up of a ComfyUI from git, with real repositories."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from setup import comfyui_git
from setup.comfyui_git import GitSource, ensure_checkout
from setup.errors import StepError

WHO = ("-c", "user.name=Test", "-c", "user.email=test@example.org")


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *WHO, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two versions of what looks like a ComfyUI, the first with a tag."""
    monkeypatch.setattr(comfyui_git, "HOSTS", tmp_path / "hosts")
    folder = tmp_path / "Comfy UI"
    (folder / "comfy").mkdir(parents=True)
    (folder / "comfy" / "sd.py").write_text("")
    git(folder, "init", "--quiet", "--initial-branch=main")
    for version in ("one", "two"):
        (folder / "main.py").write_text(version)
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", f"--message={version}")
        if version == "one":
            git(folder, "tag", "v1")
    return folder


def told(named: str) -> str:
    return (ensure_checkout(GitSource.of(named)) / "main.py").read_text()


def test_a_tag_a_commit_and_what_is_newest_are_checked_out(repository: Path) -> None:
    assert told(str(repository)) == "two"
    assert told(f"{repository}@v1") == "one"
    assert told(f"{repository}@{git(repository, 'rev-parse', 'main')}") == "two"


def test_what_came_since_is_fetched_and_what_was_changed_in_between_is_lost(
    repository: Path,
) -> None:
    checkout = ensure_checkout(GitSource.of(str(repository)))
    (checkout / "main.py").write_text("mine")
    (repository / "main.py").write_text("three")
    git(repository, "commit", "--quiet", "--all", "--message=three")
    assert told(str(repository)) == "three"


@pytest.mark.parametrize("revision", ["v9", "0" * 40])
def test_a_revision_that_is_not_there_is_refused(repository: Path, revision: str) -> None:
    with pytest.raises(StepError, match="a tag, a branch without a slash or a commit"):
        ensure_checkout(GitSource.of(f"{repository}@{revision}"))


def test_another_repository_is_refused(repository: Path) -> None:
    git(repository, "rm", "--quiet", "-r", "comfy")
    git(repository, "commit", "--quiet", "--message=none")
    with pytest.raises(StepError, match="holds no ComfyUI"):
        ensure_checkout(GitSource.of(str(repository)))


@pytest.mark.parametrize(
    ("named", "source", "revision"),
    [
        ("https://example.org/ComfyUI", "https://example.org/ComfyUI", "HEAD"),
        ("https://example.org/ComfyUI@v0.33.0", "https://example.org/ComfyUI", "v0.33.0"),
        ("git@example.org:a/ComfyUI.git", "git@example.org:a/ComfyUI.git", "HEAD"),
        ("git@example.org:a/ComfyUI.git@main", "git@example.org:a/ComfyUI.git", "main"),
    ],
)
def test_a_revision_stands_behind_the_source(named: str, source: str, revision: str) -> None:
    assert GitSource.of(named) == GitSource(source, revision)


def test_nothing_is_refused() -> None:
    with pytest.raises(StepError, match="no repository was named"):
        GitSource.of("")
