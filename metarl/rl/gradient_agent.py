"""The agent of learners by gradients: a step of adaptation after every n trajectories."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from metarl.core import expand, parameters_of, select
from metarl.files import check_finite
from metarl.rl.acting import Acted
from metarl.rl.actions import ActionScaling
from metarl.rl.advantages import advantage_batch
from metarl.rl.agent import Agent, Step
from metarl.rl.learner import MAMLLearner
from metarl.rl.recorded import rollout_of
from metarl.rl.rollout import Rollout
from metarl.rl.trajectories import Trajectories
from metarl.types import Params


class GradientAgent(Agent):
    """Takes the learner's own inner step after every n trajectories, on these.

    It has copies of the policy and of the learned step sizes, on the CPU. A trajectory that is not
    over waits for its end. The same trajectories give the same parameters as the learner's
    adaptation does.

    Args:
        learner: whose policy adapts, and how.
        num_trajectories: n, of a step.
        seed: of the action noise.

    Raises:
        ValueError: so few trajectories say nothing.
    """

    def __init__(self, learner: MAMLLearner, *, num_trajectories: int, seed: int = 0) -> None:
        sampler, actor = learner.sampler, learner.actor()
        learner.objective.check_trajectories(num_trajectories, sampler.horizon)
        size = actor.spec.observation_size
        shape = (size,) if isinstance(size, int) else size
        numbers = actor.spec.numbers
        super().__init__(shape, actor.policy.num_outputs, numbers, actor.to_env, seed)
        self.trajectories_a_step = num_trajectories
        self._actor = actor
        self._objective, self._discount = learner.objective, sampler.discount
        learned = {name: value.detach().cpu() for name, value in learner.learned.items()}
        self._rule = learner.rule.at(learned)
        self._start = expand(
            {name: value.detach().clone() for name, value in parameters_of(actor.policy).items()}, 1
        )
        self._known = hashlib.sha256(
            b"".join(
                value.numpy().tobytes() for value in [*self._start.values(), *learned.values()]
            )
        ).hexdigest()
        self._steps: list[Step] = []
        self._trajectories: list[list[Step]] = []
        self._num_steps = 0
        self._take(self._start, self._rule.init(self._start))

    @property
    def params(self) -> Params:
        """Of the policy as it is now."""
        return select(self._params, 0)

    def _noise(self) -> NDArray[np.float32]:
        noise: NDArray[np.float32] = self._actor.policy.noise((), self._rng).numpy()
        return noise

    def _act(self, observation: NDArray[np.float32], noise: NDArray[np.float32]) -> Acted:
        return self._actor.act(observation.reshape(self.observation_shape), noise)

    def _raw(self, action: Any) -> NDArray[np.float32]:
        raw = super()._raw(action)
        if isinstance(self.to_env, ActionScaling) and (abs(raw) >= self.to_env.scale).any():
            raise ValueError(
                f"action {action} is at the bounds, and what the policy emitted may lie beyond: "
                "give what act() gave"
            )
        return raw

    def _observe(self, step: Step) -> None:
        self._steps.append(step)
        if step.terminated or step.truncated:
            self._end()

    def _end_trajectory(self) -> None:
        self._steps[-1] = self._steps[-1]._replace(truncated=True)
        self._end()

    def _end(self) -> None:
        """Of a trajectory: adapt, if it is the last of n."""
        self._trajectories.append(self._steps)
        self._steps = []
        if len(self._trajectories) == self.trajectories_a_step:
            support = recording_of(self._trajectories)
            self._trajectories = []
            assert support.raw_actions is not None
            self._adapt(rollout_of(support, support.raw_actions, self._discount))

    @torch.no_grad()
    def _adapt(self, rollout: Rollout) -> None:
        gae_lambda, normaliser = self._objective.gae_lambda, self._actor.policy.normaliser
        batch = advantage_batch(rollout, gae_lambda=gae_lambda, seen=normaliser)
        params, state = self._objective.adapt_further(
            self._actor.policy, self._rule, self._params, batch, self._rule_state
        )
        check_finite(params, "adapted")
        self._num_steps += 1
        self._take(params, state)

    def _take(self, params: Params, rule_state: Any) -> None:
        self._params, self._rule_state = params, rule_state
        own = parameters_of(self._actor.policy)
        for name, value in self.params.items():
            own[name].data.copy_(value)

    def _forget(self) -> None:
        self._steps, self._trajectories, self._num_steps = [], [], 0
        self._take(self._start, self._rule.init(self._start))

    def _info(self) -> dict[str, Any]:
        waiting = sum(map(len, self._trajectories)) + len(self._steps)
        distance = sum(
            float((self._params[name] - value).square().sum())
            for name, value in self._start.items()
        )
        return {
            "num_steps": self._num_steps,
            "trajectories_until_step": self.trajectories_a_step - len(self._trajectories),
            "num_waiting": waiting,
            "distance": distance**0.5,
        }

    def _digest(self) -> str:
        return self._known

    def _remembered(self) -> dict[str, Any]:
        plain = [
            [{k: torch.as_tensor(v) for k, v in step._asdict().items()} for step in steps]
            for steps in (*self._trajectories, self._steps)
        ]
        return {
            "params": {name: value.clone() for name, value in self.params.items()},
            "rule": self._rule_state,
            "num_steps": self._num_steps,
            "trajectories": plain,
        }

    def _remember(self, remembered: dict[str, Any]) -> None:
        *self._trajectories, self._steps = (
            [Step(**{k: _plain(v) for k, v in step.items()}) for step in steps]
            for steps in remembered["trajectories"]
        )
        self._num_steps = remembered["num_steps"]
        params = {name: value[None] for name, value in remembered["params"].items()}
        self._take(params, remembered["rule"])


def _plain(value: torch.Tensor) -> Any:
    """A number, or an array."""
    return value.numpy() if value.ndim else value.item()


def recording_of(trajectories: Sequence[Sequence[Step]]) -> Trajectories:
    """What an agent was told of some trajectories of one task."""
    steps = [step for one in trajectories for step in one]
    seen = [[*(step.observation for step in one), one[-1].next_observation] for one in trajectories]
    return Trajectories(
        lengths=np.array([len(one) for one in trajectories]),
        observations=np.concatenate(seen).reshape(len(steps) + len(trajectories), -1),
        rewards=np.array([step.reward for step in steps]),
        terminated=np.array([one[-1].terminated for one in trajectories]),
        truncated=np.array([one[-1].truncated for one in trajectories]),
        raw_actions=np.stack([step.raw_action for step in steps]),
    )
