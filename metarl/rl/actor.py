"""A trained or adapted policy to use outside training: plain parameters, ``predict``, one file."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor, nn

from metarl.core import expand, parameters_of
from metarl.files import FileError, load_weights, one_error, save_weights
from metarl.nn import Policy
from metarl.rl.acting import Acted, check_finite_rows, checked_rows
from metarl.rl.actions import ActionMap, ActionNumbering, ActionNumberings, ActionScaling
from metarl.rl.observations import ObservationView
from metarl.rl.plain_spaces import plain_space, space_of
from metarl.rl.policy_spec import PolicySpec, StoredPolicy, own_class
from metarl.types import ActionArray, Params


class Actor:
    """A policy with the interface of stable-baselines3's predictors.

    Args:
        policy: with the weights to act with.
        spec: the shape of ``policy``; of one with a network of your own :meth:`PolicySpec.of`.
        to_env: from its actions to the environment's.
        seed: of the action noise.
        given: space of the environment's observations, where the policy sees them as vectors.

    Raises:
        ValueError: if ``spec`` is of another network, or the network gives outputs of another
            shape than the policy needs.
    """

    def __init__(
        self,
        policy: Policy,
        spec: PolicySpec,
        to_env: ActionMap,
        seed: int = 0,
        *,
        given: spaces.Space[Any] | None = None,
    ) -> None:
        if spec.own_network != own_class(policy.network):
            raise ValueError(
                f"spec is of another network than {type(policy.network).__name__}: "
                "take PolicySpec.of(policy, observation_size)"
            )
        policy.check_network(int(np.prod(spec.observation_size)))
        self.policy = policy
        self.spec = spec
        self.to_env = to_env
        self.view = None if given is None else ObservationView(given)
        """How the policy sees observations that are no vectors."""
        self._rng = np.random.default_rng(seed)

    @classmethod
    def of(
        cls,
        policy: Policy,
        observation_size: int | tuple[int, int, int],
        to_env: ActionMap,
        params: Params | None = None,
        *,
        given: spaces.Space[Any] | None = None,
    ) -> "Actor":
        """An actor with a copy of a policy, on the CPU, perhaps with other parameters.

        Raises:
            ValueError: if the policy is of a kind of your own.
        """
        own = copy.deepcopy(policy).cpu()
        if not isinstance(own, StoredPolicy):
            raise ValueError(f"a {type(own).__name__} is no policy that files can hold")
        if params is not None:
            own.load_state_dict(own.state_dict() | params)  # statistics are no parameters
        return cls(own, PolicySpec.of(own, observation_size), to_env, given=given)

    def predict(
        self,
        observation: NDArray[Any],
        state: None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[ActionArray, None]:
        """Environment actions for one observation ``[D]`` or a batch ``[B, D]``.

        Of other spaces observations are as the environment gives them, of a batch with an axis in
        front of every part. Images are ``[H, W, C]`` or ``[B, H, W, C]``, discrete actions numbers.

        Args:
            observation: as the environment gives it.
            state: unused; the policy is not recurrent.
            episode_start: unused, as above.
            deterministic: the mean action instead of a sample.

        Raises:
            ValueError: as in :meth:`act`.
        """
        rows, single = self._rows(observation)
        noise = self.policy.noise((1, len(rows)), self._rng)
        acted = self._acted(rows, torch.zeros_like(noise) if deterministic else noise)
        return (acted.action[0] if single else acted.action), None

    def act(self, observation: Any, noise: Any = None) -> Acted:
        """An action for one observation ``[D]``, or B for a batch ``[B, D]``.

        Images are ``[H, W, C]`` or ``[B, H, W, C]``.

        Args:
            observation: as the environment gives it.
            noise: ``[A]`` or ``[B, A]``, standard normal numbers, or standard Gumbel ones where
                actions are discrete; 0 for the likeliest action. Drawn from the actor's seed by
                default. The same noise gives the same actions as in a simulator.

        Raises:
            ValueError: observation or noise has another shape.
            NonFiniteError: a number is not finite, the action's included.
        """
        rows, single = self._rows(observation)
        if noise is None:
            given = self.policy.noise((1, len(rows)), self._rng)
        else:
            checked = checked_rows(noise, (self.policy.num_outputs,), "noise")
            if len(checked) != len(rows):
                raise ValueError(f"noise is of {len(checked)} actions, there are {len(rows)}")
            given = torch.from_numpy(checked)[None]
        acted = self._acted(rows, given)
        return Acted(*(values[0] for values in acted)) if single else acted

    def _rows(self, observation: Any) -> tuple[NDArray[np.float32], bool]:
        """Observations ``[B, D]``, and whether it is a single one."""
        if self.view is not None and not self.view.is_seen(observation):
            observation = self.view(observation)
        size = self.spec.observation_size
        shape = (size,) if isinstance(size, int) else size
        return checked_rows(observation, shape, "observation"), np.ndim(observation) == len(shape)

    @torch.no_grad()
    def _acted(self, rows: NDArray[np.float32], noise: Tensor) -> Acted:
        """For observations ``[B, D]`` and noise ``[1, B, A]``."""
        params = expand(parameters_of(self.policy), 1)
        distribution = self.policy.distribution(params, torch.from_numpy(rows)[None])
        drawn = distribution.draw(noise)
        raw = drawn[0].numpy()
        check_finite_rows(raw, "the policy's action")
        action = self.to_env(raw)
        if isinstance(self.to_env, ActionScaling):
            action = action.astype(np.float32)
        return Acted(raw, action, distribution.log_prob(drawn)[0].numpy())

    def save(self, path: str | Path) -> None:
        """Write weights, shape and action map to one file; of an own network its weights only.

        Raises:
            NonFiniteError: if a weight is not finite.
        """
        content = {
            "spec": self.spec._asdict(),
            "actions": _plain(self.to_env),
            "weights": self.policy.state_dict(),
        }
        if self.view is not None:
            content["observations"] = plain_space(self.view.given)
        save_weights(Path(path), "policy", content)


def load_policy(path: str | Path, *, network: nn.Module | None = None, seed: int = 0) -> Actor:
    """Read what :meth:`Actor.save` (or ``metarl adapt``) wrote, onto the CPU.

    Args:
        path: the file, usually ``policy.pt``.
        network: where the policy has one of your own: another of its kind, which takes the file's
            weights and goes into evaluation mode.
        seed: of the action noise.

    Raises:
        FileError: if the file is damaged or holds something else, or needs another ``network``.
    """
    content = load_weights(Path(path), "policy")
    with one_error(FileError, str(path)):
        spec = PolicySpec(**content["spec"])
        # without memory until the weights are seen to fit: a shape may be of any size
        with torch.device("meta" if network is None else "cpu"):
            policy = spec.build(network).eval()
        policy.load_state_dict(content["weights"], assign=network is None)
        spec = PolicySpec.of(policy, spec.observation_size)
        given = content.get("observations")
        return Actor(
            policy,
            spec,
            _action_map(content["actions"]),
            seed,
            given=None if given is None else space_of(given),
        )


def _plain(to_env: ActionMap) -> dict[str, Any]:
    """An action map as plain data."""
    if isinstance(to_env, ActionNumbering):
        return to_env._asdict()
    if isinstance(to_env, ActionNumberings):
        return {"starts": to_env.starts.tolist()}
    return {"low": to_env.low.tolist(), "high": to_env.high.tolist(), "scale": to_env.scale}


def _action_map(plain: dict[str, Any]) -> ActionMap:
    """What :func:`_plain` was given."""
    if "start" in plain:
        return ActionNumbering(**plain)
    if "starts" in plain:
        return ActionNumberings(np.asarray(plain["starts"], np.int64))
    low, high = (np.asarray(plain[side], np.float32) for side in ("low", "high"))
    return ActionScaling(low, high, plain["scale"])
