"""Run every benchmark of this folder, one process each, and print all of ``results.json``."""

import json
import subprocess
import sys
from pathlib import Path

import harness

SHARED = ("harness.py", "run_all.py")


def main() -> None:
    """Run them in alphabetical order; the first that fails ends it."""
    harness.quick_asked(__doc__)
    for script in sorted(Path(__file__).parent.glob("*.py")):
        if script.name not in SHARED:
            subprocess.run([sys.executable, script, *sys.argv[1:]], check=True)
    harness.print_records(json.loads(harness.RESULTS.read_text()))


if __name__ == "__main__":
    main()
