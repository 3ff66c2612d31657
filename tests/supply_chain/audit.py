"""``make audit``: does pip-audit know of vulnerabilities in what the lock files pin?

Exit status: 0 none is known; 1 some are; 2 not everything could be audited, as without a network,
which is no pass.
"""

import json
import subprocess
import sys
import tempfile
from typing import Any

from locks import LOCKS, pins, public


def audited(tool: str, pinned: dict[str, str]) -> list[dict[str, Any]]:
    """What pip-audit says of each package.

    Args:
        tool: its executable.
        pinned: versions by names.
    """
    listed = "".join(f"{name}=={public(version)}\n" for name, version in pinned.items())
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(listed)
        file.flush()
        options = ["--disable-pip", "--no-deps", "--format=json", "--progress-spinner=off"]
        done = subprocess.run(
            [tool, *options, "-r", file.name], capture_output=True, text=True, check=False
        )
    if not done.stdout:
        last = (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
        return [{"name": name, "skip_reason": last} for name in pinned]
    told: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    return told


def verdict(told: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """The exit status, and lines that say why."""
    skipped = [each for each in told if "skip_reason" in each]
    vulnerable = [each for each in told if each.get("vulns")]
    lines = [
        f"{each['name']} {each['version']}: {', '.join(found['id'] for found in each['vulns'])}"
        for each in vulnerable
    ]
    counted = f"{len(told) - len(skipped)} of {len(told)} packages audited"
    why = f"; not {skipped[0]['name']}, say: {skipped[0]['skip_reason']}" if skipped else ""
    lines.append(f"{counted}, {len(vulnerable)} have known vulnerabilities{why}")
    return 1 if vulnerable else 2 if skipped else 0, lines


def main(tool: str) -> int:
    """Audit what the lock files pin."""
    pinned = {name: version for path in LOCKS.values() for name, version in pins(path).items()}
    status, lines = verdict(audited(tool, pinned))
    print("\n".join(lines))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
