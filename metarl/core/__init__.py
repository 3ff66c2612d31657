"""The shared core: tensors in, tensors out; no environment, data set, optimiser or logger."""

from metarl.core.gradients import task_gradients
from metarl.core.inner import (
    SGD,
    GradientRule,
    InnerRule,
    LearnedStepSizes,
    MetaParameters,
    Momentum,
    adapt,
    adaptation_path,
)
from metarl.core.maml import meta_loss, reptile_loss
from metarl.core.modules import MAML, AdaptedModel, ProtoNet
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
    "GradientRule",
    "InnerRule",
    "LearnedStepSizes",
    "MetaParameters",
    "Momentum",
    "ProtoNet",
    "Stopwatch",
    "Streams",
    "adapt",
    "adaptation_path",
    "dry_run",
    "expand",
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
    "select",
    "squared_distances",
    "submodule_params",
    "task_gradients",
]
