"""Lets these tests import the packages of scripts/."""

import sys
from pathlib import Path

# Last: scripts/test.py and scripts/demo.py must not hide what has the same name.
sys.path.append(str(Path(__file__).resolve().parents[2] / "scripts"))
