"""Every reader on damaged files, and what finds the faults on readers that have them."""

import mmap
import re
import resource
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import fuzzing
import pytest
from fuzzing import faults, limited_memory, outcome
from hypothesis import given
from hypothesis import strategies as st
from mutations import mutated
from sample_files import Sample, write_samples

from metarl.files import FileError

INPUTS = 2000


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    return write_samples(tmp_path_factory.mktemp("samples"))


def test_whole_files_are_read(samples: list[Sample]) -> None:
    refused = []
    for sample in samples:
        try:
            sample.read()
        except ValueError as error:
            refused.append((sample.name, str(error)))
    assert [name for name, _ in refused] == ["image float.tif"]


def test_damaged_files_are_read_or_give_their_one_error(samples: list[Sample]) -> None:
    """``make fuzz`` tries 100,000, in processes of their own."""
    with limited_memory():
        assert [fault for fault in faults(samples, range(INPUTS)) if fault] == []


def test_any_bytes_are_read_or_give_their_one_error(samples: list[Sample]) -> None:
    @given(st.sampled_from(samples), st.binary(max_size=200))
    def check(sample: Sample, content: bytes) -> None:
        whole = sample.path.read_bytes()
        sample.path.write_bytes(content)
        said = outcome(sample)
        sample.path.write_bytes(whole)
        assert said == ""

    check()


def test_damage_repeats_and_is_damage(samples: list[Sample]) -> None:
    for sample in samples:
        content = sample.path.read_bytes()
        damaged = [mutated(content, Random(seed)) for seed in range(20)]
        assert damaged == [mutated(content, Random(seed)) for seed in range(20)]
        assert sum(other != content for other in damaged) > 10
        assert len(set(damaged)) > 10


def raising(error: Exception) -> Callable[[], None]:
    def read() -> None:
        raise error

    return read


def caused(path: Path) -> Callable[[], None]:
    def read() -> None:
        try:
            raise MemoryError
        except MemoryError as error:
            raise FileError(f"{path}: is damaged") from error

    return read


def slow() -> None:
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass


def greedy() -> None:
    with mmap.mmap(-1, 64 << 20) as pages:  # new ones, not such as other tests have freed
        for page in range(0, 64 << 20, mmap.PAGESIZE):
            pages[page] = 1


PATH = Path("/folder/a.npz")


@pytest.fixture(autouse=True)
def _low_limits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "said" in request.fixturenames:
        monkeypatch.setattr(fuzzing, "SECONDS", 0.1)
        monkeypatch.setattr(fuzzing, "MEMORY", 32 << 20)


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (raising(FileError(f"{PATH}: is damaged")), ""),
        (raising(FileError("is damaged")), "does not name the file: 'is damaged'"),
        (raising(FileError(f"{PATH}:\nis damaged")), "several lines: "),
        (raising(KeyError(str(PATH))), "raised KeyError"),
        (raising(UnicodeDecodeError("utf-8", b"", 0, 1, str(PATH))), "raised UnicodeDecodeError"),
        (raising(MemoryError()), "asked for memory: MemoryError"),
        (caused(PATH), "asked for memory: MemoryError"),
        (slow, r"0\.\d s of CPU"),
        (greedy, r"\d\d MiB above the start"),
    ],
)
def test_each_kind_of_fault_is_found(read: Callable[[], None], said: str) -> None:
    found = outcome(Sample("sample", PATH, read))
    assert re.match(said, found) if said else found == ""


def test_a_limit_on_memory_ends_with_it() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with limited_memory(), pytest.raises(MemoryError):
        bytearray(4 * fuzzing.MEMORY)  # this process may hold some that other tests have freed
    assert resource.getrlimit(resource.RLIMIT_AS) == before
