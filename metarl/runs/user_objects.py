"""What a user gives as objects."""

from dataclasses import dataclass, replace

from torch import nn

from metarl.files import import_installed
from metarl.runs import environments
from metarl.runs.config import DataProblem, EnvProblem
from metarl.runs.errors import InputError


@dataclass(frozen=True, kw_only=True)
class UserObjects:
    """What no file can hold, and so is given anew whenever a run is built."""

    env: "environments.EnvSource | None" = None
    """A task family, instead of the config's id."""
    network: nn.Module | None = None
    """Of a policy, from observations to action outputs."""
    backbone: nn.Module | None = None
    """Of a classifier, from examples to features."""
    backbone_name: str | None = None
    """The config's ``module:Class``, which may be imported if it is given again."""
    allow_code: bool = True
    """Import modules that the config names from the current folder, too."""
    workers: int | None = None
    """Processes of environments, instead of the config's number."""


def with_workers(problem: EnvProblem | DataProblem, given: UserObjects) -> EnvProblem | DataProblem:
    """The problem with the number of processes that is given."""
    if given.workers is None:
        return problem
    if not isinstance(problem, EnvProblem):
        raise InputError("is for policies; this is a few-shot run", "workers")
    if given.workers < 1:
        raise InputError(f"must be at least 1, got {given.workers}", "workers")
    return replace(problem, workers=given.workers)


def check_installed(module: str, option: str) -> None:
    """Raise an :class:`InputError` for code that a file names and that is not installed."""
    try:
        import_installed(module)
    except (ImportError, SyntaxError, TypeError, ValueError) as error:
        raise InputError(
            f"{option} is code that only the run's config names, and it is not installed "
            f"({error}): give {option} again, or --allow-code"
        ) from error
