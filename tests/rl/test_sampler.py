"""Collection in a toy vector environment whose every number is known, and in PointGoal."""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

import metarl_envs  # noqa: F401  # registers the ids
from metarl.core import Streams, expand, parameters_of
from metarl.nn import GaussianPolicy, policy_network
from metarl.rl import Rollout, Sampler

RESET_MARK = 1000.0


class Counters(VectorEnv[NDArray[Any], NDArray[Any], NDArray[Any]]):
    """Environment i observes (i, its step); its reward is 10 i + step and, with NEXT_STEP
    autoreset, an environment that ended observes ``RESET_MARK`` and counts again from there.
    """

    def __init__(self, terminate: list[int], truncate: list[int], **metadata: Any) -> None:
        self.num_envs = len(terminate)
        self.terminate, self.truncate = np.array(terminate), np.array(truncate)
        self.single_observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.single_action_space = spaces.Box(
            np.array([-1.0, 0.0], np.float32), np.array([1.0, 4.0], np.float32)
        )
        self.action_space = gym.vector.utils.batch_space(self.single_action_space, self.num_envs)
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP, **metadata}
        self.tasks: list[Any] = [None] * self.num_envs
        self.received: list[NDArray[Any]] = []
        self.diverging: dict[int, float] | None = None

    def _observe(self) -> NDArray[Any]:
        return np.stack([np.arange(self.num_envs), self.count], 1)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        self.count = np.zeros(self.num_envs)
        self.finished = np.zeros(self.num_envs, bool)
        return self._observe(), {}

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        self.received.append(actions.copy())
        self.count = np.where(self.finished, RESET_MARK, self.count + 1)
        terminated = self.count == self.terminate
        truncated = self.count == self.truncate
        self.finished = terminated | truncated
        return (
            self._observe(),
            10 * np.arange(self.num_envs) + self.count,
            terminated,
            truncated,
            self._info(),
        )

    def _info(self) -> dict[str, Any]:
        if self.diverging is None:
            return {}
        steps = [self.diverging.get(i) for i in range(self.num_envs)]
        return {"diverged": np.array([s == c for s, c in zip(steps, self.count, strict=True)])}

    def get_attr(self, name: str) -> tuple[Any, ...]:
        return (getattr(self, name),) * self.num_envs

    def set_attr(self, name: str, values: Sequence[Any] | Any) -> None:
        assert name == "task"
        self.tasks = list(values)


NEVER = 10**6


@pytest.fixture
def counters() -> Counters:
    """Ends: terminated after 2, time limit after 3, terminated after 4, none."""
    return Counters([2, NEVER, 4, NEVER], [NEVER, 3, NEVER, NEVER])


def make_sampler(env: Any, *, num_tasks: int = 2, horizon: int = 5, scale: float = 1.0) -> Sampler:
    return Sampler(env, num_tasks=num_tasks, horizon=horizon, discount=0.9, action_scale=scale)


def make_policy() -> GaussianPolicy:
    generator = torch.Generator().manual_seed(0)
    return GaussianPolicy(policy_network(2, 2, hidden_sizes=(8,), generator=generator), 2)


def collect(sampler: Sampler, policy: GaussianPolicy | None = None, seed: int = 0) -> Rollout:
    policy = policy or make_policy()
    return sampler.collect(
        policy,
        expand(parameters_of(policy), sampler.num_tasks),
        Streams(seed, "training"),
    )


def rows(value: torch.Tensor) -> list[list[float]]:
    """``[M, T, E]`` as one list a trajectory, in the order of the environments."""
    return value.permute(0, 2, 1).flatten(0, 1).tolist()


def test_mask_marks_the_steps_before_each_end(counters: Counters) -> None:
    assert rows(collect(make_sampler(counters)).mask.int()) == [
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 1, 1, 1],
    ]


def test_discount_is_0_at_terminations_only(counters: Counters) -> None:
    rollout = collect(make_sampler(counters))
    discounts = [
        [round(x, 6) for x, real in zip(*pair, strict=True) if real]
        for pair in zip(rows(rollout.discounts), rows(rollout.mask), strict=True)
    ]
    assert discounts == [[0.9, 0.0], [0.9] * 3, [0.9, 0.9, 0.9, 0.0], [0.9] * 5]


def test_final_observations_are_the_true_successors(counters: Counters) -> None:
    """Not the first observation after autoreset, and not that of the last environment step."""
    final = collect(make_sampler(counters)).final_observations
    assert final.tolist() == [[[0, 2], [1, 3]], [[2, 4], [3, 5]]]


def test_observations_precede_and_rewards_follow_the_action(counters: Counters) -> None:
    rollout = collect(make_sampler(counters))
    assert rollout.observations[1, :, 1].tolist() == [[3, t] for t in range(5)]
    assert rollout.rewards[1, :, 1].tolist() == [31, 32, 33, 34, 35]
    assert rollout.returns().tolist() == [[1 + 2, 11 + 12 + 13], [90, 165]]
    assert rollout.num_steps() == 2 + 3 + 4 + 5


def test_collection_stops_when_all_have_ended() -> None:
    rollout = collect(make_sampler(Counters([2, 4], [NEVER, NEVER]), num_tasks=1, horizon=50))
    assert rollout.mask.shape == (1, 4, 2)
    assert rollout.final_observations[..., 1].tolist() == [[2, 4]]


def test_trajectories_that_diverged_are_marked(counters: Counters) -> None:
    assert not collect(make_sampler(counters)).diverged.any()
    counters.diverging = {2: 4, 0: RESET_MARK}  # the latter when its trajectory is over
    assert collect(make_sampler(counters)).diverged.tolist() == [[False, False], [True, False]]


def test_a_second_collection_starts_afresh(counters: Counters) -> None:
    sampler = make_sampler(counters)
    first, second = collect(sampler), collect(sampler)
    assert torch.equal(first.mask, second.mask)
    assert torch.equal(first.final_observations, second.final_observations)


def test_environments_m_times_e_plus_e_have_task_m(counters: Counters) -> None:
    make_sampler(counters).set_tasks([{"goal": np.array(3)}, {"goal": np.array(5)}])
    assert [int(task["goal"]) for task in counters.tasks] == [3, 3, 5, 5]


def test_every_task_acts_with_its_own_parameters(counters: Counters) -> None:
    """Biases of 0.1 and 0.2 with all else 0 and hardly any noise."""
    policy = GaussianPolicy(
        policy_network(2, 2, hidden_sizes=()), 2, initial_log_std=-20, min_log_std=-20
    )
    params = {name: torch.zeros(2, *p.shape) for name, p in policy.named_parameters()}
    params["log_std"] -= 20
    params["mean.layers.0.bias"] += torch.tensor([[0.1], [0.2]])
    rollout = make_sampler(counters).collect(policy, params, Streams(0, "training"))
    torch.testing.assert_close(rollout.actions[0, 0], torch.full((2, 2), 0.1))
    torch.testing.assert_close(rollout.actions[1, 0], torch.full((2, 2), 0.2))


def test_actions_are_scaled_and_clipped_for_the_environment(counters: Counters) -> None:
    """±10 spans the bounds [-1, 1] x [0, 4]; the rollout keeps what the policy drew.

    Golden: (5, 5) goes to (0.5, 2 + 2·0.5) = (0.5, 3); (-30, -30) is clipped to (-1, 0).
    """
    policy = GaussianPolicy(
        policy_network(2, 2, hidden_sizes=()), 2, initial_log_std=-20, min_log_std=-20
    )
    params = {name: torch.zeros(2, *p.shape) for name, p in policy.named_parameters()}
    params["log_std"] -= 20
    params["mean.layers.0.bias"] += torch.tensor([[5.0], [-30.0]])
    sampler = make_sampler(counters, scale=10.0)
    rollout = sampler.collect(policy, params, Streams(0, "training"))
    expected = [[0.5, 3.0], [0.5, 3.0], [-1.0, 0.0], [-1.0, 0.0]]
    np.testing.assert_allclose(counters.received[0], expected, rtol=1e-6)
    torch.testing.assert_close(rollout.actions[1, 0, 0], torch.tensor([-30.0, -30.0]))


def test_generators_decide_the_rollout_and_global_ones_stay(counters: Counters) -> None:
    sampler, policy = make_sampler(counters), make_policy()
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002  # its state
    first, same, other = (collect(sampler, policy, seed) for seed in (1, 1, 2))
    after = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002  # must not move
    real = first.mask
    assert torch.equal(first.actions[real], same.actions[real])
    assert not torch.equal(first.actions[real], other.actions[real])
    assert torch.equal(before[0], after[0])
    assert np.array_equal(before[1], after[1])


def test_same_seeds_give_the_rollout_of_gymnasiums_sync_vector_env() -> None:
    """PointGoal starts at the origin; one task is so near that trajectories terminate in it."""
    rollouts = []
    for mode in ("vector_entry_point", "sync"):
        env: Any = gym.make_vec("metarl/PointGoal-v0", num_envs=6, vectorization_mode=mode)
        sampler = make_sampler(env, num_tasks=3, horizon=120, scale=10.0)
        sampler.set_tasks(
            [{"goal": np.array(goal)} for goal in ([0.02, 0.0], [0.4, 0.1], [0, 0.3])]
        )
        rollouts.append(collect(sampler))
        env.close()
    ours, theirs = rollouts
    assert torch.equal(ours.mask, theirs.mask)
    assert 0 < ours.mask.sum() < ours.mask.numel()
    assert ours.mask.shape[1] == 100
    assert torch.equal(ours.final_observations, theirs.final_observations)
    for value, reference in zip(ours[:4], theirs[:4], strict=True):
        assert torch.equal(value[ours.mask], reference[ours.mask])


def test_drawn_tasks_are_of_the_part_asked_for() -> None:
    env: Any = gym.make_vec("metarl/PointGoal-v0", num_envs=6)
    sampler = make_sampler(env, num_tasks=3)
    for split in ("train", "held_out"):
        sampler.draw_tasks(np.random.default_rng(4), split)
        expected = env.task_distribution.sample(np.random.default_rng(4), 3, split)["goal"]
        np.testing.assert_array_equal(env.tasks["goal"], expected.repeat(2, axis=0))
    env.close()


def test_same_step_autoreset_is_rejected() -> None:
    env = Counters([2, 2], [NEVER, NEVER], autoreset_mode=AutoresetMode.SAME_STEP)
    with pytest.raises(ValueError, match="SAME_STEP autoreset hides last observations"):
        make_sampler(env)


def test_environments_must_divide_into_tasks(counters: Counters) -> None:
    with pytest.raises(ValueError, match="4 environments do not divide into 3 tasks"):
        make_sampler(counters, num_tasks=3)


def test_as_many_tasks_as_agreed(counters: Counters) -> None:
    with pytest.raises(ValueError, match="need 2 tasks, got 1"):
        make_sampler(counters).set_tasks([{"goal": np.zeros(2)}])


@pytest.mark.parametrize("space", [spaces.Text(3), spaces.Box(-np.inf, 1.0, (2,))])
def test_action_spaces_without_bounds_are_rejected(
    counters: Counters, space: spaces.Space[Any]
) -> None:
    counters.single_action_space = space
    with pytest.raises(ValueError, match="need a Discrete, MultiDiscrete or MultiBinary action"):
        make_sampler(counters)
