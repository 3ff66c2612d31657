"""The shared core: tensors in, tensors out; no environment, data set, optimiser or logger."""

from metarl.core.adapted import AdaptedModel
from metarl.core.captured import Captured, capturing
from metarl.core.gradients import NoSecondDerivativeError, second_derivatives, task_gradients
from metarl.core.inner import (
    SGD,
    GradientRule,
    InnerRule,
    adapt,
    adaptation_path,
    inner_step,
)
from metarl.core.learned_step_sizes import LearnedStepSizes
from metarl.core.maml import MetaParameters, meta_loss, reptile_loss
from metarl.core.modules import MAML, ProtoNet, checked_steps
from metarl.core.momentum import Momentum
from metarl.core.params import (
    dry_run,
    expand,
    lift,
    num_tasks_of,
    parameters_of,
    select,
    submodule_params,
)
from metarl.core.prototypes import (
    proto_maml_head,
    prototype_logits,
    prototype_loss,
    prototypes,
    squared_distances,
)
from metarl.core.streams import Streams
from metarl.core.timing import Stopwatch, iteration_times

__all__ = [
    "MAML",
    "SGD",
    "AdaptedModel",
    "Captured",
    "GradientRule",
    "InnerRule",
    "LearnedStepSizes",
    "MetaParameters",
    "Momentum",
    "NoSecondDerivativeError",
    "ProtoNet",
    "Stopwatch",
    "Streams",
    "adapt",
    "adaptation_path",
    "capturing",
    "checked_steps",
    "dry_run",
    "expand",
    "inner_step",
    "iteration_times",
    "lift",
    "meta_loss",
    "num_tasks_of",
    "parameters_of",
    "proto_maml_head",
    "prototype_logits",
    "prototype_loss",
    "prototypes",
    "reptile_loss",
    "second_derivatives",
    "select",
    "squared_distances",
    "submodule_params",
    "task_gradients",
]
