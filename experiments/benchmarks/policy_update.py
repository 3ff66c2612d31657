"""Updates of ProMP and MAML-TRPO beside sampling their data and beside a plain loop over tasks.

HalfCheetahDir, 40 tasks of 20 trajectories of 100 steps, one inner step, policy 64-64, torch on two
threads; the small one has a trajectory a task. The loop is the same ProMP update as the public
implementations write it, one task after another with ``torch.func.functional_call``; its first
gradient must be ours in double precision before anything is timed.
"""

from typing import Any

import harness
import torch
from policy_learners import make_learner
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence
from torch.func import functional_call
from torch.nn.utils import parameters_to_vector

from metarl.core import parameters_of
from metarl.nn import GaussianPolicy
from metarl.rl import Adam, ClippedEpochs, ClippedSurrogate, Experience, MAMLLearner
from metarl.types import Params

NUM_TASKS = 40
THREADS = 2


def make(name: str, num_trajectories: int = 20, device: str = "cpu") -> MAMLLearner:
    """The learner of ``metarl train NAME --env metarl/HalfCheetahDir-v0``."""
    return make_learner(
        name,
        "metarl/HalfCheetahDir-v0",
        num_tasks=NUM_TASKS,
        num_trajectories=num_trajectories,
        action_scale=10.0,
        device=device,
        inner_lr=0.1,
    )


class LoopedProMP:
    """ProMP's update with a loop over tasks.

    Args:
        learner: whose policy, numbers and kind of optimiser it takes.
        data: what to update on.
    """

    def __init__(self, learner: MAMLLearner, data: Experience) -> None:
        assert isinstance(learner.policy, GaussianPolicy)
        assert isinstance(learner.objective, ClippedSurrogate)
        assert isinstance(learner.outer_step, ClippedEpochs)
        assert isinstance(learner.outer_step.around, Adam)
        self.network, self.objective = learner.policy.mean, learner.objective
        self.num_epochs = learner.outer_step.num_epochs
        self.min_log_std = learner.policy.min_log_std
        self.lr = learner.rule.step_size(0)
        theta = parameters_of(learner.policy)
        self.theta = {k: v.detach().clone().requires_grad_() for k, v in theta.items()}
        self.optimiser = torch.optim.Adam(self.theta.values(), lr=learner.outer_step.around.lr)
        self.tasks = [data.tasks(slice(m, m + 1)) for m in range(len(data.query.weights))]
        self.old = [self._act(task) for task in self.tasks]

    def update(self) -> None:
        """All epochs."""
        for _ in range(self.num_epochs):
            self.optimiser.zero_grad()
            self.loss().backward()
            self.optimiser.step()

    def loss(self) -> Tensor:
        """Mean over the tasks, one after another."""
        losses = [self._task_loss(*pair) for pair in zip(self.tasks, self.old, strict=True)]
        return torch.stack(losses).mean()

    def gradient(self) -> Tensor:
        """Of the loss."""
        return parameters_to_vector(torch.autograd.grad(self.loss(), list(self.theta.values())))

    def _distribution(self, params: Params, observations: Tensor) -> Independent:
        layers = {k.removeprefix("mean."): v for k, v in params.items() if k.startswith("mean.")}
        mean = functional_call(self.network, layers, (observations,))
        std = params["log_std"].clamp(min=self.min_log_std).exp().expand_as(mean)
        return Independent(Normal(mean, std), 1)

    def _act(self, task: Experience) -> tuple[Independent, Independent]:
        """Policies on the support and, adapted, on the query, as constants."""
        before, after = self._policies(task)
        with torch.no_grad():
            frozen = [Normal(d.mean.detach(), d.stddev.detach()) for d in (before, after)]
        return Independent(frozen[0], 1), Independent(frozen[1], 1)

    def _policies(
        self, task: Experience, old: tuple[Independent, Independent] | None = None
    ) -> tuple[Independent, Independent]:
        """Before and after the inner step, which divides by the policy that sampled, if given."""
        support, query = task.supports[0], task.query
        before = self._distribution(self.theta, support.observations[0])
        taken = before.log_prob(support.actions[0])
        sampled = taken.detach() if old is None else old[0].log_prob(support.actions[0])
        inner = -((taken - sampled).exp() * support.advantages[0] * support.weights[0]).sum()
        gradients = torch.autograd.grad(inner, list(self.theta.values()), create_graph=True)
        adapted = {
            name: value - self.lr * gradient
            for (name, value), gradient in zip(self.theta.items(), gradients, strict=True)
        }
        return before, self._distribution(adapted, query.observations[0])

    def _task_loss(self, task: Experience, old: tuple[Independent, Independent]) -> Tensor:
        before, after = self._policies(task, old)
        query, actions = task.query, task.query.actions[0]
        ratio = (after.log_prob(actions) - old[1].log_prob(actions)).exp()
        clipped = ratio.clamp(1 - self.objective.clip, 1 + self.objective.clip)
        advantages = query.advantages[0]
        gain = torch.minimum(ratio * advantages, clipped * advantages)
        kl = (kl_divergence(old[0], before) * task.supports[0].weights[0]).sum()
        return -(gain * query.weights[0]).sum() + self.objective.inner_kl * kl


def check_same(learner: MAMLLearner, data: Experience) -> None:
    """Raise unless both have the same first gradient in double precision."""
    exact = Experience([], [batch.map(Tensor.double) for batch in data.batches], data.scores)
    learner.policy.double()
    mine = learner.problem(exact).gradient().gradient
    other = LoopedProMP(learner, exact).gradient()
    learner.policy.float()
    difference = float((mine - other).norm() / other.norm())
    if not difference < 1e-8:
        raise AssertionError(f"the gradients differ by a relative {difference}")


def beside_sampling(name: str, pairs: int) -> harness.Row:
    """Seconds of an update beside those of collecting its data."""
    learner = make(name)
    kept: dict[str, Any] = {"data": learner.collect()}

    def collect() -> None:
        kept["data"] = learner.collect()

    mine, other = harness.alternate(
        harness.milliseconds(lambda: learner.update(kept["data"])),
        harness.milliseconds(collect),
        pairs=pairs,
    )
    return harness.Row(
        name=f"{name}-update", against="sampling", unit="milliseconds", ours=mine, theirs=other
    )


def beside_the_loop(num_trajectories: int, pairs: int) -> harness.Row:
    """Milliseconds of a ProMP update beside the loop's."""
    learner = make("promp", num_trajectories)
    data = learner.collect()
    check_same(learner, data)
    loop = LoopedProMP(learner, data)
    mine, other = harness.alternate(
        harness.milliseconds(lambda: learner.update(data)),
        harness.milliseconds(loop.update),
        pairs=pairs,
    )
    name = "promp-update" if num_trajectories > 1 else "promp-update-small"
    return harness.Row(name=name, against="task-loop", unit="milliseconds", ours=mine, theirs=other)


def main() -> None:
    """All comparisons."""
    quick = harness.quick_asked(__doc__)
    torch.set_num_threads(THREADS)
    pairs = 3 if quick else 9
    rows = [beside_sampling(name, pairs) for name in ("promp", "maml-trpo")]
    rows += [beside_the_loop(num_trajectories, pairs) for num_trajectories in (20, 1)]
    harness.report(rows)


if __name__ == "__main__":
    main()
