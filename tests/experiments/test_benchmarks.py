"""Running all benchmarks: one that fails does not end it, and is named."""

import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "experiments" / "benchmarks"


@pytest.fixture
def in_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.usefixtures("in_benchmarks")
def test_a_benchmark_that_fails_is_named_and_the_next_one_runs(tmp_path: Path) -> None:
    import run_all

    scripts = []
    for name, text in (("fails", "raise SystemExit(3)"), ("runs", "open('ran', 'w')")):
        scripts.append(tmp_path / f"{name}.py")
        scripts[-1].write_text(f"import os\nos.chdir({str(tmp_path)!r})\n{text}\n")
    assert run_all.failing(scripts, []) == ["fails.py"]
    assert (tmp_path / "ran").exists()


@pytest.mark.usefixtures("in_benchmarks")
def test_a_run_of_all_with_a_failure_ends_with_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    import run_all

    monkeypatch.setattr(sys, "argv", ["run_all.py", "--quick"])
    monkeypatch.setattr(run_all, "failing", lambda scripts, arguments: ["a.py"])
    with pytest.raises(SystemExit, match=r"a\.py"):
        run_all.main()


@pytest.mark.usefixtures("in_benchmarks")
def test_an_empty_envpool_python_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import mujoco_stepping

    monkeypatch.setenv("ENVPOOL_PYTHON", "")
    assert list(mujoco_stepping.compare_envpool("ant", 1)) == []
    assert "skipped" in capsys.readouterr().out


@pytest.mark.usefixtures("in_benchmarks")
def test_stages_of_a_gpu_run_small_on_the_cpu(tmp_path: Path) -> None:
    """Each is written as it ends; with no time left none starts."""
    import gpu

    output = tmp_path / "gpu.json"
    gpu.run(["pure"], small=True, budget=60, output=output)
    gpu.run(["cores"], small=True, budget=-1, output=output)
    (records,) = json.loads(output.read_text()).items()
    assert records[0] == "pure"
    assert len(records[1]["figures"]) == 3
    assert all(0 < figure["min"] <= figure["median"] for figure in records[1]["figures"])


@pytest.mark.usefixtures("in_benchmarks")
def test_a_tiny_run_leaves_the_record_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import gpu

    asked: list[Path] = []
    monkeypatch.setattr(gpu, "run", lambda names, small, budget, output: asked.append(output))
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--small"])
    gpu.main()
    assert asked == [gpu.SMALL_RESULTS]
    assert gpu.SMALL_RESULTS != gpu.RESULTS
