"""torchvision and torchaudio beside a torch without CUDA, in our own environment only.

The registry's Linux wheels of both are built for CUDA. Where they import as they are (macOS,
Windows, a CUDA torch), nothing is done.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from .environment import answers
from .errors import StepError

MODULE = "stepcache_torchvision_operators"


def repair(python: Path) -> None:
    """Make `import torchvision` and `import torchaudio` work in an environment of ours.

    Raises:
        StepError: one of them still cannot be imported.
    """
    packages = _site_packages(python)
    if not answers(python, "import torchvision"):
        shutil.copyfile(
            Path(__file__).with_name("torchvision_operators.py"), packages / f"{MODULE}.py"
        )
        (packages / f"{MODULE}.pth").write_text(f"import {MODULE}\n", encoding="utf-8")
    if not answers(python, "import torchaudio"):
        # torchaudio looks for its compiled library and works without one.
        for library in (packages / "torchaudio" / "lib").glob("*_torchaudio*"):
            library.unlink()
    for package in ("torchvision", "torchaudio"):
        if not answers(python, f"import {package}"):
            raise StepError(
                f"import of {package}",
                f"`{python} -c 'import {package}'` fails",
                "run that line to see the reason; a torch that fits the machine's GPU driver, or "
                "--comfyui with an installation that works, avoids it",
            )


def _site_packages(python: Path) -> Path:
    statement = "import sysconfig; print(sysconfig.get_paths()['platlib'])"
    done = subprocess.run(
        [str(python), "-c", statement], capture_output=True, text=True, check=True
    )
    return Path(done.stdout.strip())
