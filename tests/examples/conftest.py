"""Examples are plain folders, loaded by path; their modules are importable here as for `outlay map`."""

import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"

sys.path.insert(0, str(EXAMPLES / "triage"))
