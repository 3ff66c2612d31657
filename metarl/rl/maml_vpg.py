"""``maml-vpg``: MAML with Adam along the policy gradient of the adapted policies."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import vector_to_parameters

from metarl.nn import Policy
from metarl.rl.configs import AdamConfig
from metarl.rl.experience import Experience
from metarl.rl.learner import MAMLLearner, MetaGradient
from metarl.rl.sampler import Sampler
from metarl.types import Metrics


class MAMLVPG(MAMLLearner):
    """Meta-learner that follows the adapted policies' policy gradient with Adam.

    At the parameters that collected the data, the surrogate's gradient is the policy gradient.

    Args:
        policy: the policy whose parameters are meta-learned.
        sampler: rolls out the meta-batch.
        config: numbers of the algorithm.
        seed: of everything random in it.
    """

    def __init__(self, policy: Policy, sampler: Sampler, config: AdamConfig, *, seed: int) -> None:
        super().__init__(policy, sampler, config, seed=seed)
        self.optimiser = torch.optim.Adam(
            self.adaptation.meta_parameters().values(), lr=config.outer_lr
        )

    def _outer_step(self, chunks: list[Experience], meta: MetaGradient) -> Metrics:
        self._step_along(meta.gradient)
        return {}

    def _step_along(self, gradient: Tensor) -> None:
        """One step of Adam on a gradient ``[P]``."""
        parameters = list(self.adaptation.meta_parameters().values())
        gradients = [torch.empty_like(parameter) for parameter in parameters]
        vector_to_parameters(gradient, gradients)
        for parameter, part in zip(parameters, gradients, strict=True):
            parameter.grad = part
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)

    def _optimiser_state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.optimiser.state_dict()
        return state

    def _load_optimiser_state(self, state: dict[str, Any]) -> None:
        self.optimiser.load_state_dict(state)
