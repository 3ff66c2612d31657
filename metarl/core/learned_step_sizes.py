"""Step sizes of inner rules that are meta-learned."""

from dataclasses import dataclass

import torch

from metarl.types import Params, StepSize


@dataclass(frozen=True)
class LearnedStepSizes:
    """Step sizes that are meta-learned with the parameters that they move.

    One for every number (Meta-SGD: Li et al. 2017), or with ``num_steps`` one for every step and
    tensor (MAML++: Antoniou et al. 2019), of which the last serves all later steps.
    """

    start: float
    """Of all of them."""
    num_steps: int | None = None
    """K of MAML++."""
    factors: tuple[float, ...] = (1.0,)
    """Of Meta-SGD: how much of them each step takes; the last serves all later steps."""

    def starts(self, params: Params) -> Params:
        """Their first values by the names of what they move."""
        shape = None if self.num_steps is None else (self.num_steps,)
        return {
            name: torch.full_like(value if shape is None else value.new_empty(shape), self.start)
            for name, value in params.items()
        }

    def schedule(self, values: Params) -> list[StepSize]:
        """What each step takes."""
        if self.num_steps is None:
            return [{name: part * size for name, size in values.items()} for part in self.factors]
        return [{name: s[k] for name, s in values.items()} for k in range(self.num_steps)]
