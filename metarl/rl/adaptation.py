"""What of a policy is meta-learned, what adapts, and by which step sizes.

MAML, ANIL, CAVIA and Meta-SGD differ in nothing else.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from metarl.core import expand, parameters_of
from metarl.nn import Policy
from metarl.rl.configs import MAMLConfig
from metarl.types import Params, StepSize

STEP_SIZE = "step_size."  # before the names of learned step sizes among the meta-parameters


class Adaptation:
    """The meta-parameters of a policy and how they adapt.

    Args:
        policy: on its device.
        config: numbers of the algorithm.
    """

    def __init__(self, policy: Policy, config: MAMLConfig) -> None:
        self.policy = policy
        self.config = config
        adapted = {"all": None, "head": policy.head_names(), "context": ["context"]}
        self.mask: list[str] | None = adapted[config.adapted]
        """Names of the parameters that adapt; all where none."""
        self.step_sizes: dict[str, nn.Parameter] = {}
        """The learned ones, of the shapes of what they move."""
        if config.learned_lr:
            self.step_sizes = {
                name: nn.Parameter(torch.full_like(value, config.inner_lr))
                for name, value in policy.named_parameters()
                if self.mask is None or name in self.mask
            }

    def meta_parameters(self) -> dict[str, nn.Parameter]:
        """Everything that is meta-learned, by name."""
        sizes = {STEP_SIZE + name: value for name, value in self.step_sizes.items()}
        own = {name: p for name, p in self.policy.named_parameters() if p.requires_grad}
        return own | sizes

    def start(self, num_tasks: int, theta: Params | None = None) -> Params:
        """Task-batched parameters before the first step.

        Args:
            num_tasks: M.
            theta: other values of the meta-parameters.
        """
        own = parameters_of(self.policy)
        if theta is not None:
            own |= {name: value for name, value in theta.items() if name in own}
        return expand(own, num_tasks)

    def lr(self, num_steps: int, theta: Params | None = None) -> list[StepSize]:
        """Step sizes of ``num_steps`` steps, halved for steps beyond the trained ones.

        The MAML authors evaluate so (their ``test_maml_*`` scripts).

        Args:
            num_steps: of adaptation.
            theta: other values of the meta-parameters.
        """
        trained = max(self.config.num_inner_steps, 1)
        return [self._size(1.0 if k < trained else 0.5, theta) for k in range(num_steps)]

    def _size(self, factor: float, theta: Params | None) -> StepSize:
        if not self.step_sizes:
            return factor * self.config.inner_lr
        values: Mapping[str, Tensor] = self.step_sizes
        if theta is not None:
            values = {name: theta[STEP_SIZE + name] for name in self.step_sizes}
        return {name: factor * value for name, value in values.items()}
