"""Where the commands of the pages are run."""

from __future__ import annotations

import sys
from pathlib import Path

# Last: scripts/test.py and scripts/demo.py must not hide what has the same name.
sys.path.append(str(Path(__file__).resolve().parents[2] / "scripts"))
