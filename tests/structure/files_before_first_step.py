"""How many files does a reader of metarl pass from the command line to the first step?

    python tests/structure/files_before_first_step.py maml-trpo rl2 fewshot:maml

trains each learner of ``metarl train`` on 2-D navigation until its first environment step, and each
``fewshot:`` learner of ``metarl fewshot`` on the built-in glyphs until the first meta-batch is
drawn. It prints the files under ``metarl/`` in which a function ran until then (the bodies of
modules and classes are none) and their number. Any Python that has metarl's dependencies will do;
what is measured is the metarl of this checkout. Options after ``--`` go to the command.
"""

import contextlib
import importlib
import inspect
import io
import subprocess
import sys
import tempfile
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).parents[2]
OURS, FEWSHOT = f"{ROOT / 'metarl'}/", f"{ROOT / 'metarl' / 'fewshot'}/"
STEPPING = (f"{ROOT / 'envs' / 'metarl_envs'}/", "/gymnasium/vector/")
TRAIN = "--env metarl/PointGoal-v0 --meta-batch-size 2 --num-trajectories 2 --horizon 5"
FEWSHOT_DATA = "--data glyphs --backbone mlp --hidden-sizes 8"


class FirstStepError(BaseException):
    """Ends the command at the moment that was waited for; nothing catches it."""


class Passed:
    """A profiler that keeps the files of ours in which a function ran.

    Args:
        fewshot: whether to wait for a meta-batch instead of an environment step.
    """

    def __init__(self, fewshot: bool) -> None:
        self.fewshot = fewshot
        self.files: set[str] = set()
        self.reached = False

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        """What ``sys.setprofile`` calls."""
        code = frame.f_code
        if event == "call" and is_function(code) and code.co_filename.startswith(OURS):
            self.files.add(code.co_filename)
        if self.draws(code, event, argument) if self.fewshot else steps(code, event):
            self.reached = True
            raise FirstStepError

    @staticmethod
    def draws(code: CodeType, event: str, result: Any) -> bool:
        """Whether a sampler has just returned the first meta-batch."""
        return (
            event == "return"
            and code.co_name == "sample"
            and code.co_filename.startswith(FEWSHOT)
            and isinstance(result, list)
            and all(type(batch).__name__ == "Episodes" for batch in result)
        )


def steps(code: CodeType, event: str) -> bool:
    """Whether an environment is about to step."""
    inside = any(place in code.co_filename for place in STEPPING)
    return event == "call" and code.co_name == "step" and inside


def is_function(code: CodeType) -> bool:
    """Whether it is of a function: no module, no class, no comprehension in one of these."""
    optimised = bool(code.co_flags & inspect.CO_OPTIMIZED)
    return optimised and (code.co_name == "<lambda>" or not code.co_name.startswith("<"))


def measure(learner: str, options: list[str]) -> int:
    """Run one command until the moment waited for, and print what it passed."""
    sys.path[:0] = [str(ROOT), str(ROOT / "envs")]
    main = importlib.import_module("metarl.cli").main
    kind, _, name = learner.rpartition(":")
    passed = Passed(fewshot=kind == "fewshot")
    command = ["fewshot" if passed.fewshot else "train", name]
    command += (FEWSHOT_DATA if passed.fewshot else TRAIN).split()
    printed = io.StringIO()
    with tempfile.TemporaryDirectory() as output, contextlib.redirect_stdout(printed):
        sys.setprofile(passed)
        try:
            status = main([*command, "--output", output, *options])
        except FirstStepError:
            status = 0
        finally:
            sys.setprofile(None)
    if not passed.reached:
        print(f"{learner}: ended without a first step, status {status}")
        return 1
    for path in sorted(passed.files):
        print(f"    {Path(path).relative_to(ROOT)}")
    print(f"{learner}: {len(passed.files)} files")
    return 0


def each(learners: list[str], options: list[str]) -> int:
    """Measure learners in processes of their own: what is imported late is then seen by each."""
    command = [sys.executable, __file__]
    runs = [subprocess.run([*command, one, "--", *options], check=False) for one in learners]
    return max(run.returncode for run in runs)


def main_of_script() -> int:
    """The script."""
    given = sys.argv[1:]
    at = given.index("--") if "--" in given else len(given)
    learners, options = given[:at], given[at + 1 :]
    if not learners:
        print(__doc__)
        return 2
    if len(learners) > 1:
        return each(learners, options)
    return measure(learners[0], options)


if __name__ == "__main__":
    sys.exit(main_of_script())
