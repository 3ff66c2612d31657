"""Config of an encoder of tasks and of its training."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from metarl.configs import STRICT, Count, Positive, Several, Width


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EncoderConfig:
    """Shape and training of an encoder."""

    encoder: Literal["transitions", "recurrent"] = "transitions"
    """What is embedded: a transition alone, or with what came before it in its trajectory."""
    embedding_size: Width = 16
    """Numbers of an embedding."""
    encoder_hidden_size: Width = 64
    """Width of the encoder's layers."""
    encoder_lr: Positive = 3e-3
    """Step size of the encoder's Adam at first."""
    encoder_half_life: Count = 20
    """Iterations after which encoder_lr is half; after twice as many a quarter and so on. A policy
    cannot follow where its tasks leave gaps, so the encoder has to come to rest."""
    encoder_average: Annotated[float, Field(ge=0, lt=1)] = 0.995
    """Prototypes are made by a running average of the encoder's weights, to which each optimiser
    step contributes 1 - encoder_average: the policy can follow what they mean."""
    encoder_warmup: Count = 1500
    """Optimiser steps of the encoder in the first iteration."""
    encoder_steps: Count = 25
    """Optimiser steps of the encoder in every other iteration."""
    num_ways: Several = 40
    """Tasks that a query is classified among, in training."""
    num_similar: Count = 4
    """Tasks of num_ways are drawn in groups of so many, nearest by prototypes (hard negative class
    mining; Sohn 2016): tasks that differ much teach nothing fine. 1 draws each by itself."""
    num_support: Count = 32
    """Transitions of a trajectory that one step looks at; a recurrent encoder looks at all."""
    num_queries: Count = 8
    """Queries of a trajectory and step, each the first so many transitions of it."""
