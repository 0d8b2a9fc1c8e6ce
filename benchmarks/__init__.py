"""What is timed or scored: `python -m benchmarks` from the project's root. See README.md here."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "support"))

import pack

RESULTS = pack.ROOT / "benchmarks" / "results"
