"""Run every benchmark of this folder, one process each, and print all of ``results.json``."""

import json
import subprocess
import sys
from pathlib import Path

import harness

OTHERS = ("harness.py", "run_all.py", "compile_kernels.py", "gpu.py", "many_processes.py")
"""Scripts that are none; the last three have commands and records of their own."""


def main() -> None:
    """Run them in alphabetical order, all of them; end with status 1 if some failed."""
    harness.quick_asked(__doc__)
    failed = failing(sorted(Path(__file__).parent.glob("*.py")), sys.argv[1:])
    harness.print_records(json.loads(harness.RESULTS.read_text()))
    if failed:
        sys.exit(f"failed, rows above are of earlier runs: {', '.join(failed)}")


def failing(scripts: list[Path], arguments: list[str]) -> list[str]:
    """Run the benchmarks among the scripts; names of those that failed."""
    return [
        script.name
        for script in scripts
        if script.name not in OTHERS
        and subprocess.run([sys.executable, script, *arguments]).returncode
    ]


if __name__ == "__main__":
    main()
