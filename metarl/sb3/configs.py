"""Configs of the learners whose policy stable-baselines3 optimises."""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from metarl.embedding import ReturnSpan as Episodes

Optimiser = Literal["ppo", "sac", "td3"]
Normalisation = Literal["all", "rewards", "none"]
EncoderKind = Literal["transitions", "recurrent"]


@dataclass(frozen=True, kw_only=True)
class SB3Config:
    """What every learner has to know whose policy stable-baselines3 optimises."""

    shows_task: ClassVar[bool] = False
    """Whether the task is part of the observation."""
    context_size: ClassVar[int] = 0
    """Numbers of an input that gradients adapt: there is none."""

    trial_length: int = 2
    """Trajectories of one task, in training."""
    episodes: Episodes = "trial"
    """What returns reach over: with ``trial``, exploration is paid for what it finds out."""
    optimiser: Optimiser = "ppo"
    """The algorithm of stable-baselines3."""
    lr: float = 1e-3
    """Step size of the policy's and the value function's Adam at first."""
    lr_half_life: int | None = None
    """Iterations after which that is half, after twice as many a quarter and so on; by default it
    stays. Large steps that find a policy are those that lose it later."""
    gae_lambda: float = 0.95
    """PPO: λ of generalised advantage estimation, in [0, 1]."""
    num_epochs: int = 10
    """PPO: passes over the data of an iteration."""
    num_minibatches: int = 8
    """PPO: optimiser steps a pass."""
    clip_range: float = 0.2
    """PPO: probability ratios are clipped to 1 ± clip_range."""
    entropy_coefficient: float = 0.0
    """PPO: weight of the entropy in the objective."""
    gradient_steps: int = 200
    """SAC, TD3: optimiser steps an iteration, of 256 transitions each."""
    buffer_size: int = 200_000
    """SAC, TD3: transitions of the replay buffer."""
    normalise: Normalisation = "all"
    """What is divided by running statistics (VecNormalize): observations and rewards, or less."""

    def __post_init__(self) -> None:
        for name in ("trial_length", "num_epochs", "num_minibatches", "gradient_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.buffer_size < 256:
            raise ValueError(f"buffer_size must be at least 256, got {self.buffer_size}")
        self._check_choices()
        self._check_step_sizes()
        if not 0 <= self.gae_lambda <= 1:
            raise ValueError(f"gae_lambda must be within [0, 1], got {self.gae_lambda}")
        if not self.entropy_coefficient >= 0:
            raise ValueError(
                f"entropy_coefficient must be at least 0, got {self.entropy_coefficient}"
            )

    def lr_at(self, iteration: int) -> float:
        """Step size in an iteration, of which the first is 1."""
        if self.lr_half_life is None:
            return self.lr
        halvings = (iteration - 1) / self.lr_half_life
        return self.lr * float(0.5**halvings)

    def _check_step_sizes(self) -> None:
        for name in ("lr", "clip_range"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.lr_half_life is not None and self.lr_half_life < 1:
            raise ValueError(f"lr_half_life must be at least 1, got {self.lr_half_life}")

    def _check_choices(self) -> None:
        for name, kind in (
            ("episodes", Episodes),
            ("optimiser", Optimiser),
            ("normalise", Normalisation),
        ):
            if getattr(self, name) not in get_args(kind):
                raise ValueError(
                    f"{name} must be one of {get_args(kind)}, got {getattr(self, name)!r}"
                )


@dataclass(frozen=True, kw_only=True)
class SB3PPOConfig(SB3Config):
    """Control: stable-baselines3 on randomised tasks, no adaptation."""

    trial_length: int = 1
    """Trajectories of one task, in training."""


@dataclass(frozen=True, kw_only=True)
class SB3OracleConfig(SB3PPOConfig):
    """Control: the same with the task in the observation, an upper bound."""

    shows_task: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class SB3FinetuneConfig(SB3PPOConfig):
    """stable-baselines3 on one task, from --init-from or from scratch."""

    task: str = ""
    """The task as JSON, such as '{"goal": [0.3, -0.4]}'; a held-out one of the seed by default."""
    normalise: Normalisation = "rewards"
    """What is divided by running statistics (VecNormalize): observations and rewards, or less."""


@dataclass(frozen=True, kw_only=True)
class RL2Config(SB3Config):
    """RL² (Duan et al. 2016): a recurrent policy over a trial, by sb3-contrib's RecurrentPPO."""

    hidden_size: int = 64
    """Of the LSTM."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.optimiser != "ppo":
            raise ValueError(f"optimiser must be ppo: only it is recurrent, got {self.optimiser!r}")
        if self.hidden_size < 1:
            raise ValueError(f"hidden_size must be at least 1, got {self.hidden_size}")


@dataclass(frozen=True, kw_only=True)
class ProtoEmbeddingConfig(SB3Config):
    """Prototype task embedding: a policy conditioned on the mean embedding of what it has seen."""

    encoder: EncoderKind = "transitions"
    """What is embedded: a transition alone, or with what came before it in its trajectory."""
    embedding_size: int = 16
    """Numbers of an embedding."""
    encoder_hidden_size: int = 64
    """Width of the encoder's layers."""
    encoder_lr: float = 3e-3
    """Step size of the encoder's Adam at first."""
    encoder_half_life: int = 20
    """Iterations after which that is half, after twice as many a quarter and so on: a policy cannot
    follow where its tasks leave gaps, so the encoder has to come to rest."""
    encoder_average: float = 0.995
    """Prototypes are made by a running average of the encoder's weights, to which each optimiser
    step contributes 1 - encoder_average: the policy can follow what they mean."""
    encoder_warmup: int = 1500
    """Optimiser steps of the encoder in the first iteration."""
    encoder_steps: int = 25
    """Optimiser steps of the encoder in every other iteration."""
    num_ways: int = 40
    """Tasks that a query is classified among, in training."""
    num_similar: int = 4
    """They are drawn in groups of so many whose prototypes are nearest to each other (hard negative
    class mining; Sohn 2016): tasks that differ much teach nothing fine. 1 draws each by itself."""
    num_support: int = 32
    """Transitions of a trajectory that one step looks at; a recurrent encoder looks at all."""
    num_queries: int = 8
    """Queries of a trajectory and step, each the first so many transitions of it."""
    within_trajectory: bool = True
    """Update the prototype at every step, not only after a trajectory."""
    uncertainty: bool = True
    """Show the policy the number of transitions and the spread of their embeddings, too."""
    prototype_noise: float = 0.1
    """Standard deviation of noise on the prototypes that the policy is shown in training, where a
    distance of 1 that is sure is an odds ratio of e: it makes up for moves of the encoder and for
    gaps between the tasks of training. None where joint is set."""
    joint: bool = False
    """Train the encoder by the policy's gradient, too: the policy then sees a sample of num_support
    transitions, of which it makes the prototype itself. PPO only, observations as they are."""
    shuffle: bool = False
    """Control: show every trial the prototype of another task."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.encoder not in get_args(EncoderKind):
            raise ValueError(
                f"encoder must be one of {get_args(EncoderKind)}, got {self.encoder!r}"
            )
        if self.trial_length < 2:
            raise ValueError(
                "trial_length must be at least 2, one trajectory for the prototype and one for "
                f"queries, got {self.trial_length}"
            )
        self._check_joint()
        self._check_numbers()

    def _check_numbers(self) -> None:
        if self.num_ways < 2:
            raise ValueError(f"num_ways must be at least 2, got {self.num_ways}")
        sizes = ("embedding_size", "encoder_hidden_size", "encoder_half_life", "encoder_warmup")
        counts = ("encoder_steps", "num_similar", "num_support", "num_queries")
        for name in (*sizes, *counts):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.encoder_average < 1:
            raise ValueError(f"encoder_average must be within [0, 1), got {self.encoder_average}")
        if not self.encoder_lr > 0:
            raise ValueError(f"encoder_lr must be above 0, got {self.encoder_lr}")
        if not self.prototype_noise >= 0:
            raise ValueError(f"prototype_noise must be at least 0, got {self.prototype_noise}")

    def _check_joint(self) -> None:
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
