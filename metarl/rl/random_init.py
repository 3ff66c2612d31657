"""``random-init``: the untrained policy, with the gradient steps of evaluation; a control."""

from typing import Any

from metarl.rl.experience import Experience
from metarl.rl.learner import MAMLLearner, MetaGradient
from metarl.types import Metrics


class RandomInit(MAMLLearner):
    """Leaves the policy as it is; see :class:`~metarl.rl.learner.MAMLLearner` for the arguments."""

    def _outer_step(self, chunks: list[Experience], meta: MetaGradient) -> Metrics:
        return {}

    def _optimiser_state(self) -> dict[str, Any]:
        return {}

    def _load_optimiser_state(self, state: dict[str, Any]) -> None:
        if state:
            raise ValueError("an untrained policy has no optimiser state, but some was given")
