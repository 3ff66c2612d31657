"""Observations and rewards that are no numbers: named, and their trajectories left out."""

import warnings
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import VectorWrapper

import metarl_envs  # noqa: F401  # registers the ids
from metarl.core import Streams, expand, parameters_of
from metarl.nn import GaussianPolicy, policy_network
from metarl.rl import PRESETS, MAMLLearner, Rollout, Sampler, SimulatedTasks, make_maml
from metarl.rl.env_faults import EnvironmentFaultError, EnvironmentFaultWarning

What = Literal["observation", "reward"]
ENV = "metarl/PointGoal-v0"
LEARNERS = pytest.mark.parametrize("kind", ["maml-trpo", "maml-vpg", "promp", "fomaml", "reptile"])


class Poisoned(VectorWrapper[Any, Any, Any, Any, Any]):
    """Environments of which some give a value that is no number in one step of a trajectory.

    Args:
        env: the environments.
        faults: environment and step, of which 0 is the reset, to what is bad.
        value: that it is instead.
        at: counts resets; the one that is poisoned, or every one.
    """

    env: Any

    def __init__(
        self, env: Any, faults: dict[tuple[int, int], What], value: float, at: int | None = None
    ) -> None:
        super().__init__(env)
        self.faults, self.value, self.at = faults, value, at
        self.resets = -1

    def reset(self, **arguments: Any) -> Any:
        self.time, self.resets = 0, self.resets + 1
        observations, info = self.env.reset(**arguments)
        return self._poison(observations, np.zeros(self.num_envs))[0], info

    def step(self, actions: Any) -> Any:
        self.time += 1
        assert np.isfinite(actions).all()
        observations, rewards, *rest = self.env.step(actions)
        return *self._poison(observations, rewards), *rest

    def _poison(self, observations: Any, rewards: Any) -> Any:
        if self.at in (None, self.resets):
            for (index, time), what in self.faults.items():
                if time == self.time:
                    (observations if what == "observation" else rewards)[index, ...] = self.value
        return observations, rewards

    def get_attr(self, name: str) -> Any:
        return self.env.get_attr(name)

    def set_attr(self, name: str, values: Any) -> None:
        self.env.set_attr(name, values)


def make_sampler(
    num_tasks: int = 4,
    num_trajectories: int = 10,
    faults: dict[tuple[int, int], What] | None = None,
    value: float = float("nan"),
    at: int | None = None,
) -> Sampler:
    env: Any = gym.make_vec(ENV, num_envs=num_tasks * num_trajectories)
    poisoned: Any = Poisoned(env, faults or {}, value, at)
    return Sampler(poisoned, num_tasks=num_tasks, horizon=8, discount=0.99, action_scale=1.0)


def make_policy() -> GaussianPolicy:
    generator = torch.Generator().manual_seed(0)
    return GaussianPolicy(policy_network(2, 2, hidden_sizes=(8,), generator=generator), 2)


def make_learner(kind: str, sampler: Sampler) -> MAMLLearner:
    return make_maml(PRESETS[kind].config, make_policy(), sampler, seed=0)  # type: ignore[arg-type]


def collect(sampler: Sampler) -> Rollout:
    policy = make_policy()
    sampler.draw_tasks(np.random.default_rng(0), "train")
    streams = Streams(0, "training")
    return sampler.collect(policy, expand(parameters_of(policy), sampler.num_tasks), streams)


def quietly(learner: MAMLLearner) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EnvironmentFaultWarning)
        return learner.iterate()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
@pytest.mark.parametrize("what", ["observation", "reward"])
@pytest.mark.parametrize("step", [0, 3, 8])
def test_a_bad_trajectory_is_left_out_and_named(value: float, what: What, step: int) -> None:
    """The other trajectories are what they are without it."""
    if what == "reward" and step == 0:
        step = 1
    if what == "observation" and value == 1e39:
        value = np.inf  # observations are of single precision already
    expected = collect(make_sampler())
    sampler = make_sampler(faults={(13, step): what}, value=value)
    with pytest.warns(EnvironmentFaultWarning) as said:
        found = collect(sampler)
    kept = torch.ones(4, 10, dtype=torch.bool)
    kept[1, 3] = False
    assert torch.equal(found.kept(), kept)
    assert found.num_left_out() == 1
    every = kept[:, None].expand_as(expected.mask)
    assert torch.equal(found.mask[every], expected.mask[every])
    for value_found, value_expected in zip(found[:4], expected[:4], strict=True):
        real = found.mask & every
        assert torch.equal(value_found[real], value_expected[real])
    assert torch.isfinite(found.final_observations).all()
    (line,) = [str(warning.message) for warning in said]
    goal = sampler.env.get_attr("task")[13]["goal"].tolist()
    assert f'{ENV}, task {{"goal": {goal}}}, {f"step {step}" if step else "reset"}: ' in line
    assert ("the reward is" if what == "reward" else "entry 0 of the observation is") in line
    assert "\n" not in line


def test_what_happens_after_an_end_is_no_fault() -> None:
    """The first environment is at its goal at once; what it gives later is not looked at."""
    sampler = make_sampler(1, 2, faults={(0, 4): "observation"})
    sampler.set_tasks([{"goal": np.array([1e-6, 0.0])}])
    policy = make_policy()
    with torch.no_grad():
        policy.log_std.fill_(-0.5)
    params = {name: torch.zeros(1, *p.shape) for name, p in policy.named_parameters()}
    params["log_std"] -= 20
    policy.min_log_std = -20
    rollout = sampler.collect(policy, params, Streams(0, "training"))
    assert rollout.mask[0].sum(0).tolist() == [1, 1]
    assert rollout.num_left_out() == 0


@LEARNERS
def test_training_goes_on_over_one_bad_trajectory_in_forty(kind: str) -> None:
    learner = make_learner(kind, make_sampler(faults={(13, 3): "observation"}, value=np.inf))
    with pytest.warns(EnvironmentFaultWarning, match="such trajectories are left out"):
        first = learner.iterate()
    second = learner.iterate()  # warned of once
    for metrics in (first, second):
        assert all(np.isfinite(value) for value in metrics.values())
        assert metrics["rollout/left_out"] == 1.0 + learner.num_inner_steps
        assert metrics["meta/skipped"] == 0.0
    assert all(torch.isfinite(p).all() for p in learner.policy.parameters())


@LEARNERS
def test_a_bad_trajectory_changes_nothing_about_the_update(kind: str) -> None:
    """With the trajectories of that environment as long as can be, or poisoned, or both.

    The updates of a sampler that never had the trajectory cannot be had, as its random numbers are
    another's; but what the trajectory says before the bad step must not matter.
    """
    results = []
    for step in (1, 5, 8):
        learner = make_learner(kind, make_sampler(faults={(13, step): "reward"}))
        quietly(learner)
        results.append(torch.cat([p.detach().ravel() for p in learner.policy.parameters()]))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_a_task_without_a_trajectory_adds_nothing() -> None:
    """Forty tasks of one trajectory, of which one is bad before and after adaptation."""
    sampler = make_sampler(40, 1, faults={(7, 2): "reward"})
    learner = make_learner("maml-trpo", sampler)
    metrics = quietly(learner)
    assert all(np.isfinite(value) for value in metrics.values())
    assert metrics["meta/skipped"] == 0.0


@LEARNERS
def test_above_a_tenth_of_an_iteration_it_is_an_error(kind: str) -> None:
    """Of 40 trajectories a step 4 bad ones are a tenth, 5 are more."""
    faults: dict[tuple[int, int], What] = {(index, 3): "reward" for index in range(0, 40, 10)}
    learner = make_learner(kind, make_sampler(faults=faults))
    num = 1 + learner.num_inner_steps
    assert quietly(learner)["rollout/left_out"] == 4 * num
    learner = make_learner(kind, make_sampler(faults=faults | {(5, 3): "reward"}))
    before = learner.state_dict()["policy"]
    with pytest.raises(EnvironmentFaultError) as caught:
        quietly(learner)
    line = str(caught.value)
    assert f"step 3: the reward is nan; {5 * num} of {40 * num} trajectories ended so" in line
    assert line.startswith(f'{ENV}, task {{"goal": [')
    after = learner.state_dict()["policy"]
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_tenth_is_of_all_collections_of_an_iteration() -> None:
    """Eight of forty before adaptation and none after it are a tenth of eighty."""
    faults: dict[tuple[int, int], What] = {(index, 3): "reward" for index in range(0, 40, 5)}
    learner = make_learner("maml-trpo", make_sampler(faults=faults, at=0))
    assert quietly(learner)["rollout/left_out"] == 8.0


def test_evaluations_leave_them_out_too() -> None:
    learner = make_learner("maml-trpo", make_sampler(faults={(13, 3): "reward"}))
    with pytest.warns(EnvironmentFaultWarning):
        metrics = learner.evaluate()
    assert all(np.isfinite(value) for value in metrics.values())


def adapted(
    learner: MAMLLearner, num_trajectories: int, faults: dict[tuple[int, int], What]
) -> Any:
    def make_env(num_envs: int) -> Any:
        return Poisoned(gym.make_vec(ENV, num_envs=num_envs), faults, np.nan)

    source = SimulatedTasks(
        make_env=make_env, num_tasks=4, num_trajectories=num_trajectories, seed=0, tasks_at_once=4
    )
    with pytest.warns(EnvironmentFaultWarning):
        return learner.adapt(source, 1)


def test_adaptation_leaves_them_out_or_names_them() -> None:
    learner = make_learner("maml-trpo", make_sampler())
    adaptation = adapted(learner, 10, {(13, 3): "reward"})
    assert np.isfinite(adaptation.values).all()
    assert all(len(path) for pair in adaptation.paths for way in pair for path in way)
    with pytest.raises(EnvironmentFaultError, match="step 3: the reward is nan; 2 of 8 traj"):
        adapted(learner, 1, {(3, 3): "reward"})


def test_a_policy_that_gives_no_numbers_is_not_blamed_on_the_environment() -> None:
    """The environment gets no NaN, and what such a policy earns is no number either."""
    learner = make_learner("maml-trpo", make_sampler())
    with torch.no_grad():
        learner.policy.log_std.fill_(float("nan"))
    experience = learner.collect()
    assert experience.returns().isnan().all()
    assert experience.told().metrics()["rollout/left_out"] == 0.0
    assert learner.update(experience)["meta/skipped"] == 1.0
