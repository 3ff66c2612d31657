"""A trained or adapted policy to use outside training: plain parameters, ``predict``, one file."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple
from zipfile import is_zipfile

import numpy as np
import torch
from numpy.typing import NDArray

from metarl.core import expand, parameters_of
from metarl.nn.policies import GaussianPolicy
from metarl.rl.actions import ActionScaling

FORMAT = "metarl-policy"


class PolicySpec(NamedTuple):
    """What is needed to build the policy's network again."""

    observation_size: int
    action_size: int
    hidden_sizes: tuple[int, ...]
    activation: Any
    min_log_std: float

    def build(self) -> GaussianPolicy:
        """A policy of this shape, its weights still to be loaded."""
        return GaussianPolicy(
            self.observation_size,
            self.action_size,
            hidden_sizes=self.hidden_sizes,
            activation=self.activation,
            initial_log_std=max(0.0, self.min_log_std),
            min_log_std=self.min_log_std,
            generator=torch.Generator(),
        )


class Actor:
    """A policy with the interface of stable-baselines3's predictors.

    Args:
        policy: with the weights to act with.
        spec: the shape of ``policy``.
        scaling: from its actions to the environment's.
        seed: of the action noise.
    """

    def __init__(
        self, policy: GaussianPolicy, spec: PolicySpec, scaling: ActionScaling, seed: int = 0
    ) -> None:
        self.policy = policy
        self.spec = spec
        self.scaling = scaling
        self._generator = torch.Generator().manual_seed(seed)

    def predict(
        self,
        observation: NDArray[Any],
        state: None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], None]:
        """Environment actions for one observation ``[D]`` or a batch ``[B, D]``.

        Args:
            observation: as the environment gives it.
            state: unused; the policy is not recurrent.
            episode_start: unused, as above.
            deterministic: the mean action instead of a sample.
        """
        batch = torch.as_tensor(np.atleast_2d(observation), dtype=torch.float32)[None]
        noise = self.policy.noise(batch.shape[:2], self._generator)
        with torch.no_grad():
            actions = self.policy.act(
                expand(parameters_of(self.policy), 1),
                batch,
                torch.zeros_like(noise) if deterministic else noise,
            )
        scaled = self.scaling(actions[0].numpy()).astype(np.float32)
        return (scaled[0] if np.ndim(observation) == 1 else scaled), None

    def save(self, path: Path) -> None:
        """Write weights, shape and scaling to one file."""
        torch.save(
            {
                "format": FORMAT,
                "spec": self.spec._asdict(),
                "scaling": {
                    "low": self.scaling.low.tolist(),
                    "high": self.scaling.high.tolist(),
                    "scale": self.scaling.scale,
                },
                "weights": self.policy.state_dict(),
            },
            path,
        )


def load_policy(path: str | Path, *, seed: int = 0) -> Actor:
    """Read what :meth:`Actor.save` (or ``metarl adapt``) wrote, onto the CPU.

    Args:
        path: the file, usually ``policy.pt``.
        seed: of the action noise.

    Raises:
        ValueError: if the file is damaged or holds something else.
    """
    if Path(path).exists() and not is_zipfile(path):
        raise ValueError(f"{path} is damaged or not a policy file of metarl")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, UnpicklingError) as error:
        raise ValueError(f"{path} is damaged or not a policy file of metarl") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path} is damaged or not a policy file of metarl")
    spec = PolicySpec(**content["spec"])
    policy = spec.build()
    policy.load_state_dict(content["weights"])
    low, high = (np.asarray(content["scaling"][side], np.float32) for side in ("low", "high"))
    return Actor(policy, spec, ActionScaling(low, high, content["scaling"]["scale"]), seed)
