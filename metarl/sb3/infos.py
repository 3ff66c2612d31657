"""What vector environments of gymnasium tell of their environments, as stable-baselines3 has it."""

from typing import Any

import numpy as np


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
