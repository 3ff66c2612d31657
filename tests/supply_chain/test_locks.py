"""The lock files pin what constraints.txt pins and what pyproject.toml asks for, with hashes."""

import re
import tomllib

import pytest
from audit import verdict
from locks import LOCKS, ROOT, pins, public

CONSTRAINTS = pins(ROOT / "constraints.txt")
EVERYWHERE = ["deploy", "offline", "sweep", "hub"]
EXTRAS = {"cpu": EVERYWHERE, "cuda": [*EVERYWHERE, "gpu"]}


def asked_for(extras: list[str]) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"]]
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    names = (re.match(r"[\w.-]+", each)[0] for each in wanted)  # type: ignore[index]
    return {re.sub(r"[-_.]+", "-", name).lower() for name in names}


@pytest.mark.parametrize("name", LOCKS)
def test_versions_are_those_that_are_tested(name):
    locked = pins(LOCKS[name])
    other = {
        package: (public(version), CONSTRAINTS[package])
        for package, version in locked.items()
        if package in CONSTRAINTS and public(version) != CONSTRAINTS[package]
    }
    assert other == {}
    assert asked_for(EXTRAS[name]) <= locked.keys()
    unknown = {
        p for p in locked.keys() - CONSTRAINTS.keys() if not p.startswith(("nvidia", "cuda"))
    }
    # of torch on CUDA, and of other systems than Linux (one of them a browser)
    assert unknown <= {"triton", "colorama", "setuptools", "httpx2-jsfetch"}


def test_the_cpu_has_no_cuda():
    locked = pins(LOCKS["cpu"])
    assert locked["torch"].endswith("+cpu")
    assert not [package for package in locked if package.startswith(("nvidia", "triton"))]
    assert "+" not in pins(LOCKS["cuda"])["torch"]
    assert any(package.startswith("nvidia") for package in pins(LOCKS["cuda"]))


@pytest.mark.parametrize("path", LOCKS.values(), ids=LOCKS)
def test_everything_has_a_hash_and_nothing_names_a_place(path):
    text = path.read_text()
    parts = re.split(r"\n(?=\S)", text.partition("make lock\n")[2])
    assert len(parts) == len(pins(path))
    assert all("--hash=sha256:" in part for part in parts)
    assert "://" not in text
    assert "/" not in re.sub(r"^#.*", "", text, flags=re.MULTILINE)


def test_what_an_audit_comes_to():
    sound = {"name": "a", "version": "1", "vulns": []}
    weak = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1"}, {"id": "CVE-2"}]}
    unseen = {"name": "c", "skip_reason": "no service"}
    assert verdict([sound]) == (0, ["1 of 1 packages audited, 0 have known vulnerabilities"])
    status, lines = verdict([sound, weak, unseen])
    assert (status, lines[0]) == (1, "b 2: CVE-1, CVE-2")
    line = "1 of 2 packages audited, 0 have known vulnerabilities; not c, say: no service"
    assert verdict([sound, unseen]) == (2, [line])
