"""``CopiesVectorEnv``: gymnasium's ``SyncVectorEnv``, whose infos cost less; what is around."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv

ENDS = ("final_obs", "final_info")
"""What gymnasium tells as infos where an environment is reset in the step that ended it."""


class Around(NamedTuple):
    """What goes around environments when they are made."""

    each: Callable[[gym.Env[Any, Any]], gym.Env[Any, Any]] | None = None
    """Around every single environment that a vector is made of, if it is made so."""
    all: Callable[[Any], Any] | None = None
    """Around the vector environment."""
    info_keys: Sequence[str] | None = None
    """Names of the infos of single environments that are looked at; by default all are."""


class CopiesVectorEnv(SyncVectorEnv[Any, Any]):
    """Single environments in this process, with the results of ``SyncVectorEnv``.

    Args:
        env_fns: each makes an environment.
        autoreset_mode: as in gymnasium.
        copy: whether observations are copies; else they are written to again.
        info_keys: names of the infos to give, where not all are looked at; gymnasium's own of
            ended trajectories are given, too.
    """

    def __init__(
        self,
        env_fns: Sequence[Callable[[], gym.Env[Any, Any]]],
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        copy: bool = True,
        info_keys: Sequence[str] | None = None,
    ) -> None:
        super().__init__(env_fns, copy=copy, autoreset_mode=autoreset_mode)
        self._names = None if info_keys is None else (*info_keys, *ENDS)

    def _add_info(
        self, vector_infos: dict[str, Any], env_info: dict[str, Any], env_num: int
    ) -> dict[str, Any]:
        if self._names is not None:
            env_info = {name: env_info[name] for name in self._names if name in env_info}
        return self._put(vector_infos, env_info, env_num)

    def _put(
        self, vector_infos: dict[str, Any], env_info: dict[str, Any], env_num: int
    ) -> dict[str, Any]:
        """Gymnasium's way for what is new; what another environment told, too, is set at once."""
        for name, value in env_info.items():
            mask = f"_{name}"
            if isinstance(value, dict) and name != "final_obs":
                vector_infos[name] = self._put(vector_infos.get(name, {}), value, env_num)
                vector_infos.setdefault(mask, np.zeros(self.num_envs, np.bool_))[env_num] = True
            elif name in vector_infos and mask in vector_infos:
                vector_infos[name][env_num] = value
                vector_infos[mask][env_num] = True
            else:
                super()._add_info(vector_infos, {name: value}, env_num)
        return vector_infos
