"""What every MAML policy-gradient learner shares: collection, adaptation, meta-gradient, state.

A learner (:mod:`metarl.rl.maml_trpo`, :mod:`metarl.rl.maml_vpg`) adds the outer step in which it
differs and nothing else.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from metarl.core import adaptation_path, collect_and_update, select
from metarl.nn import ActionDistribution, CategoricalPolicy, GaussianPolicy, Policy
from metarl.rl.actor import Actor, PolicySpec
from metarl.rl.adaptation import Adaptation as AdaptedParameters
from metarl.rl.configs import MAMLConfig
from metarl.rl.estimators import sampling_credit
from metarl.rl.experience import Experience, collect_experience
from metarl.rl.losses import inner_loss, surrogate_loss
from metarl.rl.rollout import AdvantageBatch
from metarl.rl.sampler import Sampler
from metarl.rl.simulation import SimulatedTasks, paths_of
from metarl.types import Adaptation, Metrics, Params, StepSize

LEAST_CHUNK, CHUNK_STEPS = 4, 8000  # tasks, and steps of them, that a CPU's cache takes
GPU_CHUNK_STEPS = 200_000  # a GPU is slowed by small chunks, and limited only by its memory


class MetaGradient(NamedTuple):
    """The outer objective and its gradient at the current parameters."""

    loss: float
    """Mean surrogate loss of the adapted policies."""
    gradient: Tensor
    """``[P]``, through the adaptation."""
    acting: list[list[ActionDistribution]]
    """Of every chunk, what :meth:`MAMLLearner._distributions` gave, outside autograd."""

    def is_finite(self) -> bool:
        """Whether an update may use it."""
        return bool(np.isfinite(self.loss) and torch.isfinite(self.gradient).all())


class MAMLLearner(ABC):
    """Collection, adaptation, meta-gradient and state of a MAML policy-gradient learner.

    Args:
        policy: the policy whose parameters are meta-learned; its device is the learner's.
        sampler: rolls out the meta-batch.
        config: numbers of the algorithm.
        seed: of the task draws, the environments and the action noise.
    """

    step_metrics: ClassVar[tuple[str, ...]] = ()
    """Keys that :meth:`_outer_step` reports."""

    def __init__(self, policy: Policy, sampler: Sampler, config: MAMLConfig, *, seed: int) -> None:
        self.policy = policy
        self.sampler = sampler
        self.config = config
        self.adaptation = AdaptedParameters(policy, config)
        self.env_steps = 0
        self._seed = seed
        self._rng, self._generator = _generators(np.random.SeedSequence(seed))

    @abstractmethod
    def _outer_step(self, chunks: list[Experience], meta: MetaGradient) -> Metrics:
        """Move the policy's parameters; report what happened."""

    @abstractmethod
    def _optimiser_state(self) -> dict[str, Any]:
        """State of the outer optimiser."""

    @abstractmethod
    def _load_optimiser_state(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`_optimiser_state` gave."""

    def iterate(self) -> Metrics:
        """:meth:`collect`, then :meth:`update`, with the seconds that each took."""
        return collect_and_update(self.collect, self.update)

    def collect(self) -> Experience:
        """Draw train tasks; roll out before, between and after the inner steps."""
        self.sampler.draw_tasks(self._rng, "train")
        experience = self._adapt_and_collect(
            self.config.num_inner_steps, self._rng, self._generator
        )
        self.env_steps += experience.num_steps()
        return experience

    def update(self, experience: Experience) -> Metrics:
        """One outer step. A non-finite meta-gradient changes nothing: ``meta/skipped`` is 1."""
        chunks = self._chunks(experience)
        meta = self._meta_gradient(chunks)
        skipped = not meta.is_finite()
        nothing = dict.fromkeys(self.step_metrics, 0.0)
        step = nothing if skipped else self._outer_step(chunks, meta)
        returns = experience.returns().mean(1)
        return {
            "rollout/return_pre": float(returns[0]),
            "rollout/return_post": float(returns[-1]),
            "rollout/steps": float(experience.num_steps()),
            "rollout/env_steps": float(self.env_steps),
            "rollout/diverged": float(experience.num_diverged()),
            "adapt/gain": float(returns[-1] - returns[0]),
            "meta/skipped": float(skipped),
            "meta/loss": meta.loss,
            "meta/gradient_norm": float(meta.gradient.norm()),
            **self.policy.metrics(),
            **step,
        }

    def evaluate(self) -> Metrics:
        """Returns before and after adaptation on held-out tasks, the same ones every time."""
        rng, generator = _generators(np.random.SeedSequence((self._seed, 1)))
        self.sampler.draw_tasks(rng, "held_out")
        returns = self._adapt_and_collect(self.num_steps, rng, generator).returns().mean(1)
        return {
            "eval/return_pre": float(returns[0]),
            "eval/return_post": float(returns[-1]),
            "eval/adaptation_gain": float(returns[-1] - returns[0]),
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides what happens next."""
        return {
            "policy": self.policy.state_dict(),
            "step_sizes": {k: v.detach() for k, v in self.adaptation.step_sizes.items()},
            "optimiser": self._optimiser_state(),
            "rng": self._rng.bit_generator.state,
            "generator": self._generator.get_state(),
            "env_steps": self.env_steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave."""
        self.policy.load_state_dict(state["policy"])
        with torch.no_grad():
            for name, value in self.adaptation.step_sizes.items():
                value.copy_(state["step_sizes"][name])
        self._load_optimiser_state(state["optimiser"])
        self._rng.bit_generator.state = state["rng"]
        self._generator.set_state(state["generator"])
        self.env_steps = state["env_steps"]

    @property
    def num_steps(self) -> int:
        """Steps after which an evaluation in training looks."""
        return max(self.config.num_inner_steps, 1)

    def actor(self, params: Params | None = None) -> Actor:
        """The policy to act with, with other parameters if any are given."""
        policy = copy.deepcopy(self.policy).cpu()
        if not isinstance(policy, GaussianPolicy | CategoricalPolicy):
            raise ValueError(f"a {type(policy).__name__} is no policy that files can hold")
        if params is not None:
            policy.load_state_dict(params)
        return Actor(
            policy, PolicySpec.of(policy, self.sampler.observation_size), self.sampler.to_env
        )

    def adapt(
        self, source: SimulatedTasks, steps: int, step_sizes: Sequence[float] = ()
    ) -> Adaptation[Actor]:
        """Adapt to tasks on fresh trajectories.

        Args:
            source: of the trajectories.
            steps: of adaptation.
            step_sizes: one a step, instead of the learner's own.
        """
        rng = np.random.default_rng(source.seed)
        sampler = source.sampler(self.sampler, rng)
        sizes: Sequence[StepSize] = list(step_sizes) or self.adaptation.lr(steps)
        noise = torch.Generator().manual_seed(source.seed)
        experience, params = self._adapt_on(sampler, sizes, rng, noise)
        distribution = sampler.env.get_attr("task_distribution")[0]
        fixed = not any(isinstance(size, Mapping) for size in sizes)
        return Adaptation(
            values=experience.returns().cpu().double().numpy(),
            measure="returns",
            unit="gradient steps",
            model=lambda task, after: self.actor(select(params, task) if after else None),
            tasks=sampler.env.get_attr("task")[:: source.num_trajectories],
            held_out=bool(distribution.disjoint),
            paths=paths_of(experience),
            figures={"inner_lr": list(sizes) if fixed else None},
        )

    def _adapt_on(
        self,
        sampler: Sampler,
        step_sizes: Sequence[StepSize],
        rng: np.random.Generator,
        generator: torch.Generator,
    ) -> tuple[Experience, Params]:
        """Adapt to the tasks of a sampler on fresh trajectories, one step a step size."""
        return collect_experience(
            self.adaptation,
            sampler,
            self.inner_loss,
            step_sizes=step_sizes,
            gae_lambda=self.config.gae_lambda,
            rng=rng,
            generator=generator,
        )

    def _adapt_and_collect(
        self, num_steps: int, rng: np.random.Generator, generator: torch.Generator
    ) -> Experience:
        sizes = self.adaptation.lr(num_steps)
        return self._adapt_on(self.sampler, sizes, rng, generator)[0]

    def _theta(self) -> Params:
        """The meta-parameters."""
        return dict(self.adaptation.meta_parameters())

    @staticmethod
    def _num_tasks(chunks: list[Experience]) -> int:
        return sum(chunk.query.weights.shape[0] for chunk in chunks)

    def _chunks(self, experience: Experience) -> list[Experience]:
        weights, chosen = experience.query.weights, self.config.task_chunk
        num_tasks, num_steps = weights.shape
        if chosen is None:
            steps = CHUNK_STEPS if weights.device.type == "cpu" else GPU_CHUNK_STEPS
            size = max(LEAST_CHUNK, steps // num_steps)
        else:
            size = chosen or num_tasks
        return [experience.tasks(slice(i, i + size)) for i in range(0, num_tasks, size)]

    def inner_loss(self, params: Params, batch: AdvantageBatch) -> Tensor:
        """What adaptation descends, ``[M]``."""
        acting = self.policy.distribution(params, batch.observations)
        return inner_loss(acting, batch, self.config.estimator)

    def _distributions(
        self, theta: Params, experience: Experience, *, supports: bool = False
    ) -> list[ActionDistribution]:
        """Actions of the adapted policies on the query.

        With ``supports`` those on each support come before it, by the policies that sampled it.
        """
        first_order = self.config.estimator == "first-order"
        acting: list[ActionDistribution] = []

        def loss(params: Params, batch: AdvantageBatch) -> Tensor:
            acting.append(self.policy.distribution(params, batch.observations))
            return inner_loss(acting[-1], batch, self.config.estimator)

        path = adaptation_path(
            loss,
            self.adaptation.start(experience.query.weights.shape[0], theta),
            experience.supports,
            lr=self.adaptation.lr(len(experience.supports), theta),
            first_order=first_order,
            mask=self.adaptation.mask,
        )
        adapted = self.policy.distribution(path[-1], experience.query.observations)
        if not supports:
            return [adapted]
        if first_order:  # the inner gradient has used up the graph of its forward pass
            before = zip(path[:-1], experience.supports, strict=True)
            acting = [self.policy.distribution(theta, b.observations) for theta, b in before]
        return [*acting, adapted]

    def _adapted(self, theta: Params, experience: Experience) -> ActionDistribution:
        """Adapt to the stored supports, then act on the stored query observations."""
        return self._distributions(theta, experience)[-1]

    @property
    def _needs_supports(self) -> bool:
        """Whether the outer loss looks at the policies before adaptation."""
        return self.config.sampling_credit

    def _outer_losses(
        self, new: list[ActionDistribution], old: list[ActionDistribution], experience: Experience
    ) -> Tensor:
        """The outer loss of every task, ``[M]``; ``old`` is what ``new`` was at first."""
        losses = self._query_losses(new[-1], old[-1], experience.query)
        if self.config.sampling_credit:
            losses = losses + self.config.credit_weight * self._credit(new, experience)
        return losses

    def _query_losses(
        self, new: ActionDistribution, old: ActionDistribution, query: AdvantageBatch
    ) -> Tensor:
        """What the adapted policies are judged by, ``[M]``."""
        return surrogate_loss(new, old, query)

    @staticmethod
    def _credit(new: list[ActionDistribution], experience: Experience) -> Tensor:
        """E-MAML's term, divided by the steps of a trajectory as the surrogate is; ``[M]``."""
        query = experience.query
        total = torch.zeros_like(experience.scores)
        for distribution, batch in zip(new[:-1], experience.supports, strict=True):
            log_probs = batch.by_time(distribution.log_prob(batch.actions))
            total = total + sampling_credit(
                log_probs, experience.scores, batch.by_time(batch.weights > 0)
            )
        return total * max(query.num_trajectories, 1) / (query.weights > 0).sum(1)

    def _meta_gradient(
        self, chunks: list[Experience], old: list[list[ActionDistribution]] | None = None
    ) -> MetaGradient:
        """Outer loss and gradient at the current parameters.

        Args:
            chunks: the meta-batch.
            old: the distributions that acted, where the parameters have moved since.
        """
        theta = self._theta()
        num_tasks = self._num_tasks(chunks)
        total = torch.zeros_like(parameters_to_vector(theta.values())).detach()
        loss, acting = 0.0, []
        for i, chunk in enumerate(chunks):
            new = self._distributions(theta, chunk, supports=self._needs_supports)
            acting.append([one.detach() for one in new])
            before = acting[-1] if old is None else old[i]
            chunk_loss = self._outer_losses(new, before, chunk).sum() / num_tasks
            gradients = torch.autograd.grad(chunk_loss, list(theta.values()))
            total += parameters_to_vector(gradients)
            loss += chunk_loss.item()
        return MetaGradient(loss, total, acting)


def _generators(seeds: np.random.SeedSequence) -> tuple[np.random.Generator, torch.Generator]:
    """Independent generators for tasks and environments, and for action noise."""
    for_numpy, for_torch = seeds.spawn(2)
    torch_seed = int(for_torch.generate_state(1, np.uint64)[0] >> np.uint64(1))
    return np.random.default_rng(for_numpy), torch.Generator().manual_seed(torch_seed)
