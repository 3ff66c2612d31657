"""Forces are summed up in one order, whatever order contacts and rows are found in."""

from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engines import CPU, FAMILIES, actions_of

from metarl_envs.mujoco.warp import ordered
from metarl_envs.mujoco.warp.contacts import align_with_capsules
from metarl_envs.mujoco.warp.env import WarpEnv

NUM, STEPS = 16, 25


def rollout(env: WarpEnv) -> torch.Tensor:
    """Positions of every step; many hoppers fall, so that most have several contacts."""
    env.restart(torch.arange(NUM))
    record = []
    for actions in torch.from_numpy(actions_of(env, STEPS)):
        env.step(actions)
        record.append(env.physics.views.qpos.clone())
    return torch.stack(record)


def shuffle_contacts(data: Any, rng: np.random.Generator) -> None:
    """What a GPU's threads do: any of them is first."""
    num = int(data.nacon.numpy()[0])
    chosen = rng.permutation(num)
    for name in (*ordered.CONTACT_FIELDS, "worldid"):
        values = getattr(data.contact, name).numpy()
        values[:num] = values[:num][chosen]


def shuffle_rows(data: Any, rng: np.random.Generator) -> None:
    """The rows of a contact or a limit stay side by side, as their place is taken at once."""
    rows = data.efc
    kinds, owners = rows.type.numpy(), rows.id.numpy()
    for w, num in enumerate(data.nefc.numpy()):
        blocks = groupby(range(num), key=lambda i: (kinds[w, i], owners[w, i]))
        parts = [list(block) for _, block in blocks]
        chosen = [i for part in rng.permutation(len(parts)) for i in parts[part]]
        for name in ordered.ROW_FIELDS:
            values = getattr(rows, name).numpy()
            values[w, :num] = values[w, chosen]


@pytest.mark.warp
def test_the_order_in_which_contacts_are_found_does_not_matter() -> None:
    env = WarpEnv(FAMILIES["hopper"](Path()), NUM, 200, CPU, ordered=True)
    recorded = rollout(env)
    callback, graph, rng = env.physics.model.callback, env.physics._step, np.random.default_rng(0)
    sorted_contacts = callback.contactfilter
    graph.launch = graph.work  # type: ignore[method-assign]  # no Python in what is recorded

    def contacts(model: Any, data: Any) -> None:
        shuffle_contacts(data, rng)
        sorted_contacts(model, data)

    def rows(model: Any, data: Any) -> None:
        shuffle_rows(data, rng)
        ordered.order_rows(model, data)

    callback.contactfilter, callback.control = contacts, rows
    assert torch.equal(rollout(env), recorded)
    callback.control = lambda model, data: shuffle_rows(data, rng)
    assert not torch.equal(rollout(env), recorded)
    sorted_contacts, callback.control = align_with_capsules, None
    assert not torch.equal(rollout(env), recorded)
