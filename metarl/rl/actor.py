"""A trained or adapted policy to use outside training: plain parameters, ``predict``, one file."""

import copy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from metarl.core import expand, parameters_of
from metarl.files import FileError, load_weights, one_error, save_weights
from metarl.nn import CNN, MLP, CategoricalPolicy, GaussianPolicy, Policy, policy_network
from metarl.rl.acting import Acted, check_finite_rows, checked_rows
from metarl.rl.actions import ActionMap, ActionNumbering, ActionScaling
from metarl.types import ActionArray, Params


class PolicySpec(NamedTuple):
    """What is needed to build the policy again."""

    observation_size: int | tuple[int, int, int]
    """D, or height, width and channels of images."""
    action_size: int
    """Of continuous actions, or the number of discrete ones."""
    hidden_sizes: tuple[int, ...]
    activation: Any
    min_log_std: float
    """Of continuous actions."""
    categorical: bool = False
    """Whether actions are discrete."""
    context_size: int = 0
    own_network: str = ""
    """The class of a network of the user's own, which no file can hold; then there are no
    ``hidden_sizes`` and no ``activation``. Empty for that of :func:`metarl.nn.policy_network`."""
    max_log_std: float | None = None
    """Of continuous actions."""

    @classmethod
    def of(
        cls,
        policy: GaussianPolicy | CategoricalPolicy,
        observation_size: int | tuple[int, int, int],
    ) -> "PolicySpec":
        """What describes a policy that exists."""
        own = _own_class(policy.network)
        mlp = policy.network.mlp if isinstance(policy.network, CNN) else policy.network
        sizes: tuple[int, ...] = ()
        activation = ""
        if isinstance(mlp, MLP) and not own:
            sizes, activation = mlp.sizes[1:-1], mlp.activation
        return cls(
            observation_size,
            policy.num_outputs,
            hidden_sizes=sizes,
            activation=activation,
            min_log_std=policy.min_log_std if isinstance(policy, GaussianPolicy) else 0.0,
            categorical=isinstance(policy, CategoricalPolicy),
            context_size=policy.context_size,
            own_network=own,
            max_log_std=policy.max_log_std if isinstance(policy, GaussianPolicy) else None,
        )

    def build(
        self,
        network: nn.Module | None = None,
        *,
        initial_log_std: float | None = None,
        generator: torch.Generator | None = None,
    ) -> GaussianPolicy | CategoricalPolicy:
        """A policy of this shape.

        Args:
            network: of the user's own, where ``own_network`` names one.
            initial_log_std: starting log σ, of continuous actions; anything where weights are
                loaded afterwards.
            generator: source of the initial weights.

        Raises:
            ValueError: if there is no network and one is needed, or the other way round.
        """
        if (network is None) == bool(self.own_network):
            raise ValueError(
                f"the policy's network is one of your own, {self.own_network}: give one as network="
                if self.own_network
                else "the policy's network is a standard one: leave network= away"
            )
        if network is None:
            network = policy_network(
                self.observation_size,
                self.action_size,
                hidden_sizes=self.hidden_sizes,
                activation=self.activation,
                context_size=self.context_size,
                generator=torch.Generator() if generator is None else generator,
            )
        if self.categorical:
            return CategoricalPolicy(network, self.action_size, context_size=self.context_size)
        if initial_log_std is None:
            initial_log_std = float(np.clip(0.0, self.min_log_std, self.max_log_std))
        return GaussianPolicy(
            network,
            self.action_size,
            initial_log_std=initial_log_std,
            min_log_std=self.min_log_std,
            max_log_std=self.max_log_std,
            context_size=self.context_size,
        )


class Actor:
    """A policy with the interface of stable-baselines3's predictors.

    Args:
        policy: with the weights to act with.
        spec: the shape of ``policy``; of one with a network of your own :meth:`PolicySpec.of`.
        to_env: from its actions to the environment's.
        seed: of the action noise.

    Raises:
        ValueError: if ``spec`` is of another network, or the network gives outputs of another
            shape than the policy needs.
    """

    def __init__(self, policy: Policy, spec: PolicySpec, to_env: ActionMap, seed: int = 0) -> None:
        if spec.own_network != _own_class(policy.network):
            raise ValueError(
                f"spec is of another network than {type(policy.network).__name__}: "
                "take PolicySpec.of(policy, observation_size)"
            )
        policy.check_network(int(np.prod(spec.observation_size)))
        self.policy = policy
        self.spec = spec
        self.to_env = to_env
        self._rng = np.random.default_rng(seed)

    @classmethod
    def of(
        cls,
        policy: Policy,
        observation_size: int | tuple[int, int, int],
        to_env: ActionMap,
        params: Params | None = None,
    ) -> "Actor":
        """An actor with a copy of a policy, on the CPU, perhaps with other parameters.

        Raises:
            ValueError: if the policy is neither Gaussian nor categorical.
        """
        own = copy.deepcopy(policy).cpu()
        if not isinstance(own, GaussianPolicy | CategoricalPolicy):
            raise ValueError(f"a {type(own).__name__} is no policy that files can hold")
        if params is not None:
            own.load_state_dict(params)
        return cls(own, PolicySpec.of(own, observation_size), to_env)

    def predict(
        self,
        observation: NDArray[Any],
        state: None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[ActionArray, None]:
        """Environment actions for one observation ``[D]`` or a batch ``[B, D]``.

        Images are ``[H, W, C]`` or ``[B, H, W, C]``, discrete actions numbers.

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

    def save(self, path: Path) -> None:
        """Write weights, shape and action map to one file; of an own network its weights only.

        Raises:
            NonFiniteError: if a weight is not finite.
        """
        content = {
            "spec": self.spec._asdict(),
            "actions": _plain(self.to_env),
            "weights": self.policy.state_dict(),
        }
        save_weights(path, "policy", content)


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
        return Actor(policy, spec, _action_map(content["actions"]), seed)


def _own_class(network: nn.Module) -> str:
    """The class of a network that :func:`policy_network` does not make, else nothing."""
    kind = type(network)
    return "" if kind in (MLP, CNN) else f"{kind.__module__}.{kind.__qualname__}"


def _plain(to_env: ActionMap) -> dict[str, Any]:
    """An action map as plain data."""
    if isinstance(to_env, ActionNumbering):
        return to_env._asdict()
    return {"low": to_env.low.tolist(), "high": to_env.high.tolist(), "scale": to_env.scale}


def _action_map(plain: dict[str, Any]) -> ActionMap:
    """What :func:`_plain` was given."""
    if "start" in plain:
        return ActionNumbering(**plain)
    low, high = (np.asarray(plain[side], np.float32) for side in ("low", "high"))
    return ActionScaling(low, high, plain["scale"])
