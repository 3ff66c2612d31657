"""What does it cost to start?

    python tests/structure/import_times.py [REPEATS]

prints CPU seconds (user and system, the least of 5 runs or as many as are given) of importing
torch, of importing metarl, and of ``metarl --help`` and ``metarl envs``, and what each costs above
torch alone. Run it with a Python that has metarl, on a machine that does nothing else; the metarl
that is measured is the one of this checkout.
"""

import os
import resource
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "import torch": ["-c", "import torch"],
    "import metarl": ["-c", "import metarl"],
    "metarl --help": ["-m", "metarl", "--help"],
    "metarl envs": ["-m", "metarl", "envs"],
}


def seconds(arguments: list[str]) -> float:
    """CPU time of one run of Python."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "envs")])},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the table."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    runs = [{name: seconds(command) for name, command in COMMANDS.items()} for _ in range(repeats)]
    least = {name: min(run[name] for run in runs) for name in COMMANDS}
    for name, value in least.items():
        print(f"{name:15} {value:6.2f} s {value - least['import torch']:+6.2f} s")


if __name__ == "__main__":
    main()
