"""The shared core: tensors in, tensors out; no environment, data set, optimiser or logger."""

from metarl.core.maml import adapt, adaptation_path, inner_step, meta_loss
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

__all__ = [
    "MAML",
    "AdaptedModel",
    "ProtoNet",
    "adapt",
    "adaptation_path",
    "dry_run",
    "expand",
    "inner_step",
    "lift",
    "meta_loss",
    "num_tasks_of",
    "parameters_of",
    "proto_maml_head",
    "prototype_logits",
    "prototype_loss",
    "prototypes",
    "select",
    "squared_distances",
    "submodule_params",
]
