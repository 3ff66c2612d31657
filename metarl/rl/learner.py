"""The learner by gradients: collection while it adapts, outer step, state.

It is composed: an inner rule says how the policy adapts, an objective what the adapted policies are
judged by, an outer step how the meta-parameters move. :mod:`metarl.rl.named` composes them by name.
"""

import copy
from collections.abc import Sequence
from time import perf_counter
from typing import Any, Literal

import torch
from torch import Tensor, nn

from metarl.core import (
    InnerRule,
    MetaParameters,
    Streams,
    checked_steps,
    expand,
    iteration_times,
    parameters_of,
)
from metarl.core.collectives import gathered
from metarl.files import check_finite
from metarl.nn import ObservationNormaliser, Policy
from metarl.rl.actor import Actor
from metarl.rl.advantages import advantage_batch
from metarl.rl.device_memory import ChunkMemory, device_memory
from metarl.rl.experience import Experience
from metarl.rl.meta_problem import MetaProblem, Objective, OuterStep, State
from metarl.rl.objectives import checked_parts
from metarl.rl.recorded import RecordedTrajectories
from metarl.rl.rollout import AdvantageBatch, Rollout
from metarl.rl.task_sampler import TaskSampler
from metarl.rl.unknown_task import Source
from metarl.types import Adaptation, Metrics, Params, StepSize


class MAMLLearner:
    """Meta-learns what a policy adapts from.

    Args:
        policy: the policy whose parameters are meta-learned; its device is the learner's.
        sampler: rolls out the meta-batch.
        rule: how the policy adapts. Evaluation may take more steps than training.
        objective: what adaptation descends and what the adapted policies are judged by.
        outer_step: how the meta-parameters move.
        num_inner_steps: of adaptation in training, each on fresh trajectories; may be 0.
        task_chunk: tasks differentiated at once; see :meth:`metarl.rl.Experience.chunks`.
        seed: of the task draws, the environments and the action noise.

    Raises:
        ValueError: if the parts do not go together.
    """

    def __init__(
        self,
        policy: Policy,
        sampler: TaskSampler[Any],
        rule: InnerRule[Any],
        objective: Objective,
        outer_step: OuterStep,
        *,
        num_inner_steps: int = 1,
        task_chunk: int | None = None,
        seed: int = 0,
    ) -> None:
        rule, learned = checked_parts(policy, rule, objective, outer_step, num_inner_steps)
        objective.check_batch(sampler.part.total, sampler.num_trajectories, sampler.horizon)
        self.policy = policy
        self.sampler = sampler
        self.rule = rule
        self.objective = objective
        self.outer_step = outer_step
        self.num_inner_steps = num_inner_steps
        self.task_chunk = task_chunk
        self._memory = ChunkMemory()
        self.learned = {name: nn.Parameter(value) for name, value in learned.items()}
        """What the rule wants meta-learned, such as step sizes."""
        self.env_steps = 0
        self._optimiser: State = {}  # made at the first update
        self.iteration = 0  # collections so far: what the next one draws follows from it
        self.seed = seed

    def meta_parameters(self) -> MetaParameters:
        """The meta-parameters themselves; the policy's without its context."""
        own = {name: p for name, p in self.policy.named_parameters() if p.requires_grad}
        return MetaParameters(dict(own), dict(self.learned))

    def iterate(self) -> Metrics:
        """:meth:`collect`, then :meth:`update`, with the seconds that each took.

        Raises:
            DeviceMemoryError: the GPU has no room for it.
        """
        with device_memory(self, self.sampler.num_tasks // 2 if self.sampler.can_shrink else 0):
            started = perf_counter()
            collected = self.collect()
            between = perf_counter()
            metrics = self.update(collected)
            return metrics | iteration_times(between - started, perf_counter() - between)

    def describe_batch(self) -> str:
        """The meta-batch in words, and where it is."""
        sampler = self.sampler
        device = next(self.policy.parameters()).device
        each = f"{sampler.num_trajectories} trajectories of {sampler.horizon} steps"
        return f"the meta-batch of {sampler.num_tasks} tasks x {each} on {device}"

    def rehearse(self, num_tasks: int) -> None:
        """An iteration with so many tasks, after which nothing has changed."""
        kept, sampler = copy.deepcopy(self.state_dict()), self.sampler
        sampler.close()
        torch.cuda.empty_cache()
        self.sampler = sampler.smaller(num_tasks)
        try:
            self.update(self.collect())
        finally:
            self.sampler.close()
            self.sampler = sampler
            self.load_state_dict(kept)

    def collect(self) -> Experience:
        """Draw train tasks; roll out before, between and after the inner steps."""
        streams = Streams(self.seed, "training").at(self.iteration)
        self.sampler.draw_tasks(streams.numpy("tasks"), "train")
        experience, _ = self._adapt_on(self.sampler, self.num_inner_steps, streams)
        self.iteration += 1
        self.env_steps += experience.num_steps()
        return experience

    def update(self, experience: Experience) -> Metrics:
        """One outer step. A non-finite meta-gradient changes nothing: ``meta/skipped`` is 1.

        Statistics of observations, where the policy has them, stay until the step is over.
        """
        problem = self.problem(experience)
        meta = problem.gradient()
        skipped = not meta.is_finite()
        if skipped:
            step = dict.fromkeys([*meta.metrics, *self.outer_step.step_metrics], 0.0)
        else:
            state = self._optimiser or self.outer_step.init(problem.theta)
            step, self._optimiser = self.outer_step.step(problem, meta, state)
            step = meta.metrics | step
            self.policy.keep_within_bounds()
        if self.policy.normaliser is not None:
            self._update_normaliser(self.policy.normaliser, experience.observations())
        return {
            **experience.told().metrics(),
            "rollout/env_steps": float(self.env_steps),
            "meta/skipped": float(skipped),
            "meta/loss": meta.loss,
            "meta/gradient_norm": float(meta.gradient.norm()),
            **self.policy.metrics(),
            **step,
        }

    def _update_normaliser(self, normaliser: ObservationNormaliser, seen: Tensor) -> None:
        """By what all processes have seen, in their order."""
        alone = self.sampler.part.is_all
        own = normaliser.moments(seen if alone else seen.cpu())
        for moments in [own] if alone else gathered(own):
            normaliser.merge(moments)

    def evaluate(self) -> Metrics:
        """Returns before and after adaptation on held-out tasks, the same ones every time.

        And after it on validation tasks, which are none of those: drawn as training's are, but in
        a stream of their own. They alone choose the best checkpoint.
        """
        held_out, validation = (self._try_on(split) for split in ("held_out", "train"))
        score = validation.told().evaluation_metrics()["eval/return_post"]
        return {**held_out.told().evaluation_metrics(), "eval/validation": score}

    def _try_on(self, split: Literal["train", "held_out"]) -> Experience:
        streams = Streams(self.seed, "validation")
        self.sampler.draw_tasks(streams.numpy("tasks"), split)
        experience, adapted = self._adapt_on(self.sampler, self.num_steps, streams)
        check_finite(adapted, "adapted")
        return experience

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides what happens next."""
        return {
            "policy": self.policy.state_dict(),
            "step_sizes": {k: v.detach() for k, v in self.learned.items()},
            "optimiser": self._optimiser,
            "seed": self.seed,
            "iteration": self.iteration,
            "env_steps": self.env_steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave; :class:`ValueError` if another learner did."""
        given, expected = state["optimiser"], self.outer_step.init(self.meta_parameters())
        if given and given.keys() != expected.keys():
            raise ValueError(f"the outer step's state has {sorted(expected)}, not {sorted(given)}")
        self.policy.load_state_dict(state["policy"])
        with torch.no_grad():
            for name, value in self.learned.items():
                value.copy_(state["step_sizes"][name])
        self._optimiser = state["optimiser"]
        self.seed, self.iteration = state["seed"], state["iteration"]
        self.env_steps = state["env_steps"]

    @property
    def num_steps(self) -> int:
        """Steps after which an evaluation in training looks."""
        return max(self.num_inner_steps, 1)

    def actor(self, params: Params | None = None) -> Actor:
        """The policy to act with, with other parameters if any are given."""
        sampler = self.sampler
        given = getattr(sampler.env, "given_observation_space", None)
        size, to_env = sampler.observation_size, sampler.to_env
        return Actor.of(self.policy, size, to_env, params, given=given)

    def adapt(
        self, source: Source, steps: int, step_sizes: Sequence[float] = ()
    ) -> Adaptation[Actor]:
        """Adapt to tasks on fresh trajectories, a batch of tasks at a time; or to recorded ones.

        Args:
            source: of the trajectories.
            steps: of adaptation.
            step_sizes: one a step, instead of the learner's own.
        """
        checked_steps(steps)
        if isinstance(source, RecordedTrajectories):
            rule, steps = self._rule(step_sizes or steps)
            return source.adaptation(
                self.policy, rule, self.objective, steps, like=self.sampler, actor=self.actor
            )
        streams = Streams(source.seed, "test")
        return source.adaptation(
            lambda sampler, first: self._adapt_on(sampler, step_sizes or steps, streams, first),
            like=self.sampler,
            rng=streams.numpy("tasks"),
            actor=self.actor,
            inner_lr=list(step_sizes) or self.rule.fixed_step_sizes(steps),
        )

    def _adapt_on(
        self,
        sampler: TaskSampler[Any],
        steps: int | Sequence[StepSize],
        streams: Streams,
        first_task: int | None = None,
    ) -> tuple[Experience, Params]:
        """Adapt to the tasks that a sampler has, on fresh trajectories at every step.

        Instead of their number ``steps`` may be the size of each, in place of the rule's own.
        By default they are its part of a meta-batch, and all processes must call this.
        """
        self.objective.check_trajectories(sampler.num_trajectories, sampler.horizon)
        rule, steps = self._rule(steps)
        gae_lambda, normaliser = self.objective.gae_lambda, self.policy.normaliser
        first = sampler.part.start if first_task is None else first_task
        rollouts: list[Rollout] = []
        batches: list[AdvantageBatch] = []

        def roll_out(params: Params) -> AdvantageBatch:
            at_step = streams.at(len(rollouts))
            rollouts.append(sampler.collect(self.policy, params, at_step, first))
            batch = advantage_batch(rollouts[-1], gae_lambda=gae_lambda, seen=normaliser)
            batches.append(batch)
            return batch

        start = expand(parameters_of(self.policy), sampler.num_tasks)
        with torch.no_grad():
            params = self.objective.adapt(self.policy, rule, start, [roll_out] * steps)
            roll_out(params)
        return Experience.collected(rollouts, batches, sampler), params

    def _rule(self, steps: int | Sequence[StepSize]) -> tuple[InnerRule[Any], int]:
        """How to adapt, and how many steps, of which the sizes may be given."""
        rule = self.rule.at(dict(self.learned))
        if isinstance(steps, int):
            return rule, steps
        return rule.with_step_sizes(steps) if steps else rule, len(steps)

    def problem(self, experience: Experience) -> MetaProblem:
        """A meta-batch as outer steps see it."""
        chunks, theta = experience.chunks(self._chunk(experience)), self.meta_parameters()
        return MetaProblem(self.policy, self.rule, self.objective, theta, chunks, self.sampler.part)

    def _chunk(self, experience: Experience) -> int | None:
        """Tasks differentiated at once; None for as many as a CPU's cache takes."""
        if self.task_chunk is not None or experience.scores.device.type != "cuda":
            return self.task_chunk
        theta = self.meta_parameters()

        def differentiate(part: Experience) -> None:
            MetaProblem(self.policy, self.rule, self.objective, theta, [part]).gradient()

        return self._memory.chunk(experience, differentiate)
