"""Import it first: makes the pack, the demo, the benchmarks and the tests' support importable."""

from __future__ import annotations

import sys

from setup.layout import ROOT

sys.path.append(str(ROOT / "tests" / "support"))

import pack
