"""A ComfyUI from git: of any tag, branch or commit, with an environment of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .comfyui_given import is_comfyui
from .errors import StepError
from .layout import HOSTS, ROOT
from .progress import StepLine
from .tools import run_tool

STEP = "ComfyUI from git"
REMEDY = (
    "name a repository of ComfyUI, a URL or a folder, and behind @ a tag, a branch without a slash "
    "or a commit, such as https://github.com/Comfy-Org/ComfyUI@v0.33.0"
)
WITH_REVISION = re.compile(r"(?P<source>.+?)(?:@(?P<revision>[^/:@]+))?")


@dataclass(frozen=True, slots=True)
class GitSource:
    """A repository, and what to check out of it.

    Args:
        source: a URL or a folder.
        revision: tag, branch or commit; the repository's HEAD by default.
    """

    source: str
    revision: str = "HEAD"

    @classmethod
    def of(cls, named: str) -> GitSource:
        """From "source@revision", as pip has it; the user of "git@host:path" is no revision."""
        found = WITH_REVISION.fullmatch(named)
        if found is None:
            raise StepError(STEP, "no repository was named", REMEDY)
        folder = Path(found["source"])
        source = str(folder.resolve()) if folder.is_dir() else found["source"]
        return cls(source, found["revision"] or "HEAD")

    @property
    def name(self) -> str:
        """Of the folders that it gets: one for each repository."""
        return re.sub(r"\W+", "-", self.source).strip("-").lower()[-40:].strip("-")

    @property
    def tree(self) -> Path:
        """The folder that holds `main.py`, whether or not it exists."""
        return HOSTS / f"git-{self.name}" / "ComfyUI"

    @property
    def environment(self) -> Path:
        """The folder of the environment with the packages that this ComfyUI asks for."""
        return ROOT / f".venv-{self.name}"


def ensure_checkout(git: GitSource) -> Path:
    """Fetch what is new in the repository, and check the revision out.

    Returns:
        The folder that holds `main.py`.

    Raises:
        StepError: git failed, or what it fetched is no ComfyUI.
    """
    line = StepLine(f"{STEP}: {git.revision} of {git.source}")
    tree = git.tree
    if not (tree / ".git").is_dir():
        run_tool(line, STEP, ["git", "init", "--quiet", tree], REMEDY)
    here = ["git", "-C", tree]
    run_tool(line, STEP, [*here, "fetch", "--depth=1", git.source, git.revision], REMEDY)
    run_tool(line, STEP, [*here, "checkout", "--quiet", "--force", "FETCH_HEAD"], REMEDY)
    if not is_comfyui(tree):
        raise StepError(STEP, f"{git.source} holds no ComfyUI", REMEDY)
    line.done()
    return tree
