"""What is timed: `python -m benchmarks` from the project's root. See README.md beside this file."""

import sys
from pathlib import Path

# Last: scripts/test.py and scripts/demo.py must not hide what has the same name.
sys.path.append(str(Path(__file__).resolve().parents[1] / "scripts"))
