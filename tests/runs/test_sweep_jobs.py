"""The processes of a sweep, here and on Slurm, with small programs in place of runs."""

import importlib
import os
import signal
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from metarl.runs import InputError
from metarl.runs.sweeps.jobs import command, fault
from metarl.runs.sweeps.local import LocalJobs, Slot, share
from metarl.runs.sweeps.slurm import SlurmJobs, Task, slurm_executor

PROCESSORS = frozenset(os.sched_getaffinity(0))
EVERYTHING = Slot(PROCESSORS)
POLITE = """
    import signal, sys, time
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    print("ready", flush=True)
    time.sleep(60)
"""


def program(text: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(text)]


def started(folder: Path, text: str, slot: Slot = EVERYTHING):
    folder.mkdir(exist_ok=True)
    member = SimpleNamespace(folder=folder, name=folder.name)
    jobs = LocalJobs([slot], lambda member: program(text))
    return jobs, jobs.start(member)


def end_of(job) -> str:
    deadline = time.monotonic() + 60
    while (error := job.ended()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return error


def wait_for(log: Path, text: str) -> None:
    deadline = time.monotonic() + 60
    while not (log.exists() and text in log.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("print('done')", ""),
        ("import sys; print('metarl: error: no'); sys.exit(2)", "no (exit status 2)"),
        ("raise ValueError('x')", "ValueError: x (exit status 1)"),
        ("import os; os._exit(3)", "it said nothing (exit status 3)"),
        ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL"),
        ("import sys; sys.exit(130)", ""),  # interrupted, with a checkpoint
        ("import os; os.kill(os.getpid(), 15)", ""),  # asked to end before it could answer
    ],
)
def test_how_a_process_ends(text, error, tmp_path):
    jobs, job = started(tmp_path, text)
    assert end_of(job) == error
    (tmp_path / "log.txt").unlink()
    assert end_of(jobs.start(SimpleNamespace(folder=tmp_path))) == error  # its slot is free again


def test_only_the_end_of_a_log_is_read(tmp_path):
    (tmp_path / "log").write_bytes(b"x" * 10**6 + b"\nlast \xff line\n\n")
    assert fault(1, tmp_path / "log") == "last \ufffd line (exit status 1)"


def test_a_process_is_asked_to_end_and_ctrl_c_does_not_reach_it(tmp_path):
    _, job = started(tmp_path, POLITE)
    wait_for(tmp_path / "log.txt", "ready")
    assert os.getpgid(job._process.pid) != os.getpgrp()
    job.stop()
    assert end_of(job) == ""


def test_processors_and_gpus_are_shared_out(tmp_path, monkeypatch):
    assert [slot.processors for slot in share(3, range(2), [])] == [{0, 1}, {0}, {1}]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    one = frozenset([min(PROCESSORS)])
    text = "import os; print(os.sched_getaffinity(0), os.environ['CUDA_VISIBLE_DEVICES'])"
    _, job = started(tmp_path, f"import time; time.sleep(0.1); {text}", Slot(one, "GPU-7"))
    end_of(job)
    assert (tmp_path / "log.txt").read_text() == f"{set(one)} GPU-7\n"


def test_the_command_of_a_member(tmp_path):
    config = SimpleNamespace(schedule=SimpleNamespace(time_limit=None))
    member = SimpleNamespace(folder=tmp_path, config=config)
    assert command(member, None, allow_code=False)[1:] == ["-m", "metarl", "resume", str(tmp_path)]
    config.schedule.time_limit = 60.0
    assert command(member, None, allow_code=False)[-2:] == ["--time-limit", "60.0"]
    options = ["--time-limit", "5.0", "--allow-code"]
    assert command(member, 5.0, allow_code=True)[-3:] == options


def test_slurm_without_submitit_or_minutes(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(InputError, match=r"slurm needs submitit: pip install 'metarl-toolkit\[sw"):
        slurm_executor(tmp_path, {"time": 1})
    monkeypatch.setitem(sys.modules, "submitit", SimpleNamespace())
    with pytest.raises(InputError, match=r"slurm lacks the minutes of a job, such as .*time.*600"):
        slurm_executor(tmp_path, {"partition": "gpu"})


def test_slurms_notice_ends_a_task_politely(tmp_path, monkeypatch):
    """As submitit calls it: in the signal's handler, while the task waits for its process."""
    helpers = SimpleNamespace(DelayedSubmission=lambda task: task)
    monkeypatch.setitem(sys.modules, "submitit", SimpleNamespace(helpers=helpers))
    log = tmp_path / "log.txt"
    task = Task(program("import os\n" + textwrap.dedent(POLITE)), log)
    again = []

    def notice(*_: object) -> None:
        again.append(task.checkpoint())

    previous = signal.signal(signal.SIGALRM, notice)
    try:
        signal.setitimer(signal.ITIMER_REAL, 1.0)
        assert task() == 130
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert again == [Task(task.command, log)]


SBATCH = """
    import os, subprocess, sys
    here = os.path.dirname(__file__)
    number = len([n for n in os.listdir(here) if n.startswith("pid_")]) + 1
    script = sys.argv[1]
    env = {**os.environ, "SLURM_JOB_ID": str(number), "SLURM_NTASKS": "1"}
    job = subprocess.Popen(["bash", script], env=env, start_new_session=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    open(f"{here}/pid_{number}", "w").write(str(job.pid))
    print(f"Submitted batch job {number}")
"""
SRUN = """
    import os, subprocess, sys
    arguments = sys.argv[1:]
    streams = {}
    while arguments[0].startswith("--"):
        option = arguments.pop(0)
        if option in ("--output", "--error"):
            name = arguments.pop(0).replace("%j", os.environ["SLURM_JOB_ID"]).replace("%t", "0")
            streams["stdout" if option == "--output" else "stderr"] = open(name, "a")
    sys.exit(subprocess.call(arguments, **streams))
"""
SACCT = """
    import os, sys
    here = os.path.dirname(__file__)
    print("JobID|State|NodeList")
    for number in sys.argv[sys.argv.index("-j") + 1 :: 2]:
        pid = open(f"{here}/pid_{number}").read()
        stat = f"/proc/{pid}/stat"
        alive = os.path.exists(stat) and open(stat).read().split()[2] != "Z"
        print(f"{number}|{'RUNNING' if alive else 'FAILED'}|here")
"""
SCANCEL = """
    import os, signal, sys
    here = os.path.dirname(__file__)
    os.killpg(int(open(f"{here}/pid_{sys.argv[1]}").read()), signal.SIGTERM)
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A cluster of this machine: what is submitted runs at once."""
    submitit = importlib.import_module("submitit")
    programs = {"sbatch": SBATCH, "srun": SRUN, "sacct": SACCT, "scancel": SCANCEL}
    places = tmp_path / "bin"
    places.mkdir()
    for name, text in programs.items():
        path = places / name
        path.write_text(f"#!{sys.executable}\n{textwrap.dedent(text)}")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{places}:{os.environ['PATH']}")
    monkeypatch.setattr(submitit.SlurmJob.watcher, "_delay_s", 0)
    return slurm_executor(tmp_path / "slurm", {"time": 10, "cpus_per_task": 2})


@pytest.mark.slow  # 30 s: four processes of submitit
def test_jobs_of_slurm(slurm, tmp_path):
    def start(name: str, text: str):
        member = SimpleNamespace(folder=tmp_path / name)
        member.folder.mkdir()
        jobs = SlurmJobs(slurm, 4, lambda member: program(text))
        return member, jobs, jobs.start(member)

    _, _, good = start("good", "print('done')")
    _, _, bad = start("bad", "import sys; print('metarl: error: no'); sys.exit(2)")
    member, jobs, stopped = start("stopped", POLITE)
    _, _, killed = start("killed", "import os; os.kill(os.getppid(), 9)")
    assert end_of(good) == ""
    assert end_of(bad) == "no (exit status 2)"
    assert end_of(killed).startswith(f"job {killed.key} ended without a result")
    wait_for(tmp_path / "stopped" / "log.txt", "ready")
    found = jobs.found(member, stopped.key)
    assert found is not None
    assert jobs.found(member, good.key) is None
    found.stop()
    assert end_of(stopped) == ""
    (script,) = tmp_path.glob("slurm/1_submission.sh")
    assert "#SBATCH --time=10" in script.read_text()
    assert "#SBATCH --cpus-per-task=2" in script.read_text()


def test_wrong_parameters_of_sbatch(slurm, tmp_path):
    with pytest.raises(InputError, match=r"slurm Unavailable parameter.*'partitoin'") as error:
        slurm_executor(tmp_path, {"time": 10, "partitoin": "gpu"})
    assert len(str(error.value).splitlines()) == 1
