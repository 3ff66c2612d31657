"""Configs of the learners whose policy stable-baselines3 optimises, and those by name."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass
from tyro.conf import Suppress

from metarl.configs import (
    STRICT,
    Count,
    NonNegative,
    Positive,
    Preset,
    Several,
    UnitInterval,
    Width,
    presets,
)
from metarl.embedding import EncoderConfig, ReturnSpan

Optimiser = Literal["ppo", "sac", "td3"]
Normalisation = Literal["all", "rewards", "none"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SB3Config:
    """What every learner has to know whose policy stable-baselines3 optimises."""

    learner: Suppress[str] = ""
    show_task: bool = False
    """Append the task to the observation, for an upper bound."""
    trial_length: Count = 2
    """Trajectories of one task, in training."""
    episodes: ReturnSpan = "trial"
    """What returns reach over: with ``trial``, exploration is paid for what it finds out."""
    finite_horizon: bool = False
    """Values end with the trial, as those of RL² and VariBAD; or go on beyond it, for ever.
    The latter, by default, suits long trials, whose end a policy does not see come; with it γ must
    be below 1."""
    optimiser: Optimiser = "ppo"
    """The algorithm of stable-baselines3."""
    lr: Positive = 1e-3
    """Step size of the policy's and the value function's Adam at first."""
    lr_half_life: Count | None = None
    """Iterations after which lr is half, after twice as many a quarter and so on; by default it
    stays. Large steps that find a policy are those that lose it later."""
    gae_lambda: UnitInterval = 0.95
    """PPO: λ of generalised advantage estimation, in [0, 1]."""
    num_epochs: Count = 10
    """PPO: passes over the data of an iteration."""
    num_minibatches: Count = 8
    """PPO: optimiser steps a pass."""
    clip_range: Positive = 0.2
    """PPO: probability ratios are clipped to 1 ± clip_range."""
    entropy_coefficient: NonNegative = 0.0
    """PPO: weight of the entropy in the objective, at first."""
    entropy_half_life: Count | None = None
    """PPO: iterations after which that weight is half, and so on; by default it stays. Entropy that
    finds a way to explore keeps the policy from following it alone."""
    gradient_steps: Count = 200
    """SAC, TD3: optimiser steps an iteration, of 256 transitions each."""
    buffer_size: Annotated[Count, Field(ge=256)] = 200_000
    """SAC, TD3: transitions of the replay buffer."""
    normalise: Normalisation = "all"
    """What is divided by running statistics (VecNormalize): observations and rewards, or less."""

    def lr_at(self, iteration: int) -> float:
        """Step size in an iteration, of which the first is 1."""
        return self.lr * _halved(iteration, self.lr_half_life)

    def entropy_at(self, iteration: int) -> float:
        """Weight of the entropy in an iteration, of which the first is 1."""
        return self.entropy_coefficient * _halved(iteration, self.entropy_half_life)


def _halved(iteration: int, half_life: int | None) -> float:
    """What is left of something in an iteration, of which the first is 1."""
    return 1.0 if half_life is None else float(0.5 ** ((iteration - 1) / half_life))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class OneTrajectoryConfig(SB3Config):
    """What does not adapt: a trial is one trajectory."""

    trial_length: Count = 1
    """Trajectories of one task, in training."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SB3PPOConfig(OneTrajectoryConfig):
    """Control: stable-baselines3 on randomised tasks, no adaptation."""

    learner: Suppress[Literal["sb3-ppo", "sb3-oracle"]] = "sb3-ppo"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SB3FinetuneConfig(OneTrajectoryConfig):
    """stable-baselines3 on one task, from --init-from or from scratch."""

    learner: Suppress[Literal["sb3-finetune"]] = "sb3-finetune"
    task: str = ""
    """The task as JSON, such as '{"goal": [0.3, -0.4]}'; a held-out one of the seed by default."""
    normalise: Normalisation = "rewards"
    """What is divided by running statistics (VecNormalize): observations and rewards, or less."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RL2Config(SB3Config):
    """RL² (Duan et al. 2016): a recurrent policy over a trial, by sb3-contrib's RecurrentPPO."""

    learner: Suppress[Literal["rl2"]] = "rl2"
    optimiser: Suppress[Literal["ppo"]] = "ppo"
    """Always: only it is recurrent."""
    gradient_steps: Suppress[Literal[200]] = 200
    """Of SAC and TD3, so never used."""
    buffer_size: Suppress[Literal[200_000]] = 200_000
    """Of SAC and TD3, so never used."""
    hidden_size: Width = 64
    """Of the LSTM."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ProtoEmbeddingConfig(EncoderConfig, SB3Config):
    """Prototype task embedding: a policy conditioned on the mean embedding of what it has seen."""

    learner: Suppress[Literal["proto-embedding"]] = "proto-embedding"
    trial_length: Several = 2
    """Trajectories of one task, in training: one for the prototype, and one for queries."""
    within_trajectory: bool = True
    """Update the prototype at every step, not only after a trajectory."""
    uncertainty: bool = True
    """Show the policy the number of transitions and the spread of their embeddings, too."""
    prototype_noise: NonNegative = 0.1
    """Standard deviation of noise on the prototypes that the policy is shown in training, where a
    distance of 1 that is sure is an odds ratio of e: it makes up for moves of the encoder and for
    gaps between the tasks of training. None where joint is set."""
    joint: bool = False
    """Train the encoder by the policy's gradient, too: the policy then sees a sample of num_support
    transitions, of which it makes the prototype itself. PPO only, observations as they are."""
    shuffle: bool = False
    """Control: show every trial the prototype of another task."""

    def __post_init__(self) -> None:
        if not self.joint:
            return
        wanted = {
            "optimiser": "ppo",
            "normalise": ("rewards", "none"),
            "encoder": "transitions",
            "within_trajectory": True,
            "shuffle": False,
        }
        for name, values in wanted.items():
            value = getattr(self, name)
            if value not in (values if isinstance(values, tuple) else (values,)):
                raise ValueError(f"{name} must be {values} where joint is set, got {value!r}")


PRESETS = presets(
    Preset(
        ProtoEmbeddingConfig(),
        "A policy conditioned on the prototype of what it has seen of the task; no gradients.",
    ),
    Preset(RL2Config(), "RL²: a recurrent policy over a trial (Duan et al. 2016)."),
    Preset(SB3PPOConfig(), "Control: stable-baselines3 on randomised tasks, no adaptation."),
    Preset(
        SB3PPOConfig(learner="sb3-oracle", show_task=True),
        "Control: the same with the task in the observation, an upper bound.",
    ),
    Preset(SB3FinetuneConfig(), "stable-baselines3 on one task, from --init-from or from scratch."),
)
"""Learners whose policy stable-baselines3 optimises."""
