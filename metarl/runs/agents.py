"""The agent of a run."""

from metarl import sb3
from metarl.embedding import OnlineAgent
from metarl.rl import Agent, GradientAgent, MAMLLearner
from metarl.rl.observations import ObservationView
from metarl.rl.plain_spaces import space_of
from metarl.runs.errors import InputError, input_errors
from metarl.runs.simulated import Simulated


def make_agent(built: Simulated, trajectories: int | None, seed: int) -> Agent:
    """See :meth:`metarl.Run.agent`."""
    agent = _agent(built, trajectories, seed)
    if built.facts.given_observations is not None:
        agent.view = ObservationView(space_of(built.facts.given_observations))
    return agent


def _agent(built: Simulated, trajectories: int | None, seed: int) -> Agent:
    learner, name = built.learner, built.config.learner
    if isinstance(learner, MAMLLearner):
        given = built.problem.sampling.num_trajectories if trajectories is None else trajectories
        if given < 1:
            raise InputError(f"must be at least 1, got {given}", "trajectories")
        with input_errors():
            return GradientAgent(learner, num_trajectories=given, seed=seed)
    if trajectories is not None:
        raise InputError(f"is for learners by gradients; {name} takes every step", "trajectories")
    assert isinstance(learner, sb3.SB3Learner)
    with input_errors(prefix=f"{name} has no agent: "):
        return OnlineAgent(sb3.online_policy(learner), seed=seed)
