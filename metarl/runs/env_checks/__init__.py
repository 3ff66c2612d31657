"""Whether an environment is the task family that it should be: ``metarl check-env``.

:mod:`draws` looks at the tasks that are drawn, :mod:`effects` at what a task does to trajectories,
:mod:`steps` at what single steps give; :mod:`probe` plays the environments for them.
"""

from metarl.runs.env_checks.report import EnvReport, check_env

__all__ = ["EnvReport", "check_env"]
