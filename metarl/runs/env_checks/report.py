"""``check_env``: all checks of one family, and what they say."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from metarl.rl.env_faults import EnvironmentFaultError
from metarl.runs.env_checks.draws import check_draws
from metarl.runs.env_checks.effects import check_effects
from metarl.runs.env_checks.findings import Finding
from metarl.runs.env_checks.probe import Subject
from metarl.runs.env_checks.steps import check_by_peer, check_steps, speed
from metarl.runs.environments import EnvSource

CHECKS: tuple[Callable[[Subject], Iterator[Finding]], ...] = (
    check_draws,
    check_by_peer,
    check_steps,
    check_effects,
)


@dataclass(frozen=True, kw_only=True)
class EnvReport:
    """What was found of a task family."""

    name: str
    """Of the family."""
    findings: tuple[Finding, ...]
    speed: str
    """Steps a second, and how there would be more; empty where it fails."""

    @property
    def good(self) -> bool:
        """Whether nothing has to be mended."""
        return not any(finding.wrong for finding in self.findings)


def check_env(
    env: EnvSource,
    *,
    env_kwargs: dict[str, Any] | None = None,
    steps: int = 1000,
    seed: int = 0,
) -> EnvReport:
    """Check what an environment has to be to adapt in it, beside what other checkers look at.

    The task is in its space and drawn from the generator that is given; train and held-out tasks
    are disjoint; the task stays through resets, changes rewards or dynamics, and does so for no
    other environment; seed, task and actions decide a trajectory; observations and rewards are of
    the right kind, in bounds, and numbers; trajectories end. gymnasium's own checker runs, too.

    Args:
        env: an id, a function that makes an environment, or an environment.
        env_kwargs: options of the family.
        steps: of a long look.
        seed: of tasks, starts and actions.

    Raises:
        InputError: there is no such environment, or it has no tasks.
    """
    subject = Subject(source=env, options=env_kwargs or {}, steps=steps, seed=seed)
    findings: list[Finding] = []
    rate = ""
    try:
        with warnings.catch_warnings():
            # what gymnasium warns of at every step is looked at here, too
            warnings.filterwarnings("ignore", ".*WARN: ", UserWarning)
            for check in CHECKS:
                findings += check(subject)
            rate = speed(subject)
    except EnvironmentFaultError as error:
        findings.append(Finding("error", str(error)))
    return EnvReport(name=subject.name, findings=tuple(findings), speed=rate)
