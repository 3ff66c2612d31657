"""What vector environments of gymnasium tell of their environments, as stable-baselines3 has it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def listed(info: dict[str, Any], num: int) -> list[dict[str, Any]]:
    """The info of every environment, from what gymnasium makes of those of ``num`` together.

    What a vector environment of another make tells of all of them at once is left out.
    """
    infos: list[dict[str, Any]] = [{} for _ in range(num)]
    for name, values in info.items():
        if name.startswith("_"):
            continue
        given = info.get(f"_{name}", np.ones(num, bool))
        each = listed(values, num) if isinstance(values, dict) else values
        many = isinstance(each, list | tuple) or (isinstance(each, np.ndarray) and each.ndim > 0)
        if not many or len(each) != num:
            continue
        for index in np.flatnonzero(given):
            infos[index][name] = each[index]
    return infos


def tell_ends(
    infos: list[dict[str, Any]],
    observations: NDArray[Any],
    truncated: NDArray[np.bool_],
    outcomes: NDArray[np.float32],
    **columns: NDArray[np.bool_],
) -> None:
    """Tell of the trajectories that a step ended, as stable-baselines3 and trials want it.

    Args:
        infos: of N environments; those that have ended get ``terminal_observation``,
            ``TimeLimit.truncated``, ``is_success`` where it is known, and ``outcomes``.
        observations: the last ones, ``[N, ...]``.
        truncated: which a time limit alone ended, ``[N]``.
        outcomes: of the trajectories, see :class:`metarl.rl.outcomes.Outcomes`.
        columns: what else there is to say, ``[N]``, ``ended`` among it, which is not told.
    """
    for index in np.flatnonzero(columns.pop("ended")):
        success = outcomes[index, 0]
        infos[index] |= {
            "terminal_observation": observations[index].copy(),
            "TimeLimit.truncated": bool(truncated[index]),
            "outcomes": outcomes[index].copy(),
            **({} if np.isnan(success) else {"is_success": bool(success)}),
            **{name: bool(column[index]) for name, column in columns.items()},
        }
