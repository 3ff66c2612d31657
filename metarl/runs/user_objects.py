"""What a user gives as objects."""

from dataclasses import dataclass

from torch import nn

from metarl_envs.making import EnvSource


@dataclass(frozen=True, kw_only=True)
class UserObjects:
    """What no file can hold, and so is given anew whenever a run is built."""

    env: EnvSource | None = None
    """A task family, instead of the config's id."""
    network: nn.Module | None = None
    """Of a policy, from observations to action outputs."""
    backbone: nn.Module | None = None
    """Of a classifier, from examples to features."""
    backbone_name: str | None = None
    """The config's ``module:Class``, which may be imported if it is given again."""
    allow_code: bool = True
    """Import modules that the config names from the current folder, too."""
