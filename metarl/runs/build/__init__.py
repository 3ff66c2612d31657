"""From a config to a learner: the one place that knows the kinds of problem and learner.

A builder takes a config, what it cannot hold, and whom to tell what is worth knowing. Where the
config says what was trained on, no environment is made and no data set read.
"""

from collections.abc import Callable
from typing import Any

from metarl.runs.build.classifiers import build_classifier
from metarl.runs.build.policies import build_policy
from metarl.runs.config import DataProblem, EnvProblem, RunConfig
from metarl.runs.dataset import DataSets
from metarl.runs.simulated import Simulated
from metarl.runs.user_objects import UserObjects

Built = Simulated | DataSets
Builder = Callable[[RunConfig, UserObjects, Callable[[str], None]], Built]

BUILDERS: dict[type[Any], Builder] = {EnvProblem: build_policy, DataProblem: build_classifier}
"""Kinds of problem to what builds them; :class:`metarl.InputError` if the parts do not fit."""
