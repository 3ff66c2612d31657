"""Reading lock files: which versions they pin, with how many hashes."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCKS = {name: ROOT / f"requirements-{name}.lock" for name in ("cpu", "cuda")}
_PIN = re.compile(r"^([\w.-]+)==([^\s;\\]+)")


def pins(path: Path) -> dict[str, str]:
    """Versions by normalised names, of a lock file or of constraints."""
    found = (_PIN.match(line) for line in path.read_text().splitlines())
    return {re.sub(r"[-_.]+", "-", pin[1]).lower(): pin[2] for pin in found if pin}


def public(version: str) -> str:
    """A version as package indexes know it, without what says how it was built.

    >>> public("2.13.0+cpu")
    '2.13.0'
    """
    return version.partition("+")[0]
