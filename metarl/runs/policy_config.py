"""What a run about a policy is told of the policy and of how much it collects."""

from pydantic.dataclasses import dataclass

from metarl.configs import STRICT, Count, LogStd, Positive, UnitInterval, Widths
from metarl.nn.mlp import Activation


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PolicyConfig:
    """Shape and start of the policy."""

    hidden_sizes: Widths = (64, 64)
    """Widths of the hidden layers."""
    activation: Activation = "tanh"
    """Between the layers."""
    initial_log_std: LogStd = 0.0
    """Starting log standard deviation of the actions."""
    min_log_std: LogStd = -0.5
    """Floor of the log standard deviation. Inner steps grow with 1/σ, so it also bounds them."""
    max_log_std: LogStd | None = None
    """Ceiling of the log standard deviation; none by default."""
    normalise_observations: bool = False
    """Normalise observations by running statistics, which stay within an iteration; for learners by
    gradients."""


NOT_FOR_SB3 = {
    "min_log_std": "is for learners by gradients: PPO has no floor",
    "max_log_std": "is for learners by gradients: PPO has no ceiling",
    "normalise_observations": "is for learners by gradients; those of stable-baselines3 have "
    "--normalise",
}
"""Options that policies do without which stable-baselines3 optimises, and why."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SamplingConfig:
    """How much is collected."""

    meta_batch_size: Count = 20
    """Tasks of a meta-iteration."""
    num_trajectories: Count = 20
    """Trajectories a task and inner step."""
    horizon: Count | None = None
    """Longest trajectory; the environment's own time limit by default."""
    discount: UnitInterval = 0.99
    """γ, in [0, 1]."""
    action_scale: Positive = 1.0
    """Policy actions of ±action_scale span the environment's action bounds."""
    info_keys: tuple[str, ...] = ()
    """Numbers of the environment's info to report, beside success: each trajectory's last."""
