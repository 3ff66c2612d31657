"""What policies see beside the observation, as functions of an explicit state.

:mod:`metarl.embedding.contexts` has the same for the environments of a simulator.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from metarl.embedding.cells import (
    GRU,
    Array,
    Dense,
    State,
    dense_of,
    double,
    library,
    relu,
    single,
    tanh,
)
from metarl.embedding.encoders import LOG_PRECISION_BOUND, RecurrentEncoder, TransitionEncoder
from metarl.embedding.prototypes import OnlinePrototypes


class HeldContext(NamedTuple):
    """Numbers that stay: the policy does not adapt."""

    values: Array
    """``[C]``; may be empty."""

    @property
    def size(self) -> int:
        """C."""
        return len(self.values)

    @property
    def starts(self) -> State:
        """The numbers."""
        return {"context": self.values} if self.size else {}

    def add(self, state: State, features: Array, ended: Array) -> State:
        """Nothing to remember."""
        return {}

    def end(self, state: State) -> State:
        """Nothing ends."""
        return {}

    def context(self, state: State) -> Array:
        """``[..., C]``."""
        return state["context"] if self.size else self.values

    def info(self, state: State) -> dict[str, Any]:
        """Nothing."""
        return {}


class LastStep(NamedTuple):
    """The last action and reward, and whether they ended a trajectory (RL²)."""

    observation_size: int
    """D."""
    nothing: Array
    """Zeros, ``[A + 2]``."""

    @property
    def size(self) -> int:
        """A + 2."""
        return len(self.nothing)

    @property
    def starts(self) -> State:
        """Zeros."""
        return {"last": self.nothing}

    def add(self, state: State, features: Array, ended: Array) -> State:
        """Remember that of ``features``, ``[..., F]``."""
        first = self.observation_size
        acted = features[..., first : first + self.size - 1]
        return {"last": library(features).concat([acted, ended], -1)}

    def end(self, state: State) -> State:
        """The last step ended a trajectory."""
        last, xp = state["last"], library(state["last"])
        return {"last": xp.concat([last[..., :-1], xp.ones_like(last[..., -1:])], -1)}

    def context(self, state: State) -> Array:
        """``[..., A + 2]``."""
        return state["last"]

    def info(self, state: State) -> dict[str, Any]:
        """What it believes is in the network's state, which nobody can read."""
        return {}


@dataclass(frozen=True, kw_only=True)
class Prototype:
    """The prototype of the trial's task; :class:`~metarl.embedding.OnlinePrototypes` of a state.

    Sums are in double precision: a robot may run for days, and of few transitions the spread is a
    difference of numbers that are almost the same.
    """

    mean: Array
    """Of the encoder's inputs, ``[F]``."""
    std: Array
    layers: Dense
    """Of the encoder, to embeddings and log precisions."""
    cell: GRU | None
    """Before them, of a recurrent encoder."""
    share: Array
    """1 / E of every number, ``[E, 1]``."""
    most: Array
    """1."""
    within_trajectory: bool
    uncertainty: bool
    capacity: int

    @classmethod
    def of(cls, prototypes: OnlinePrototypes) -> "Prototype":
        """With copies of an encoder's weights, on the CPU."""
        encoder = prototypes.encoder
        inputs, size = encoder.inputs, encoder.embedding_size
        assert inputs.running_mean is not None
        assert inputs.running_var is not None
        if isinstance(encoder, RecurrentEncoder):
            last, cell = encoder.last, GRU.of(encoder.gru)
        else:
            assert isinstance(encoder, TransitionEncoder)
            last, cell = encoder.mlp, None
        return cls(
            mean=inputs.running_mean.cpu().clone(),
            std=(inputs.running_var.cpu() + inputs.eps).sqrt(),
            layers=dense_of(last),
            cell=cell,
            share=torch.full((size, 1), 1.0 / size, dtype=torch.float64),
            most=torch.ones(1, dtype=torch.float64),
            within_trajectory=prototypes.within_trajectory,
            uncertainty=prototypes.uncertainty,
            capacity=prototypes.capacity,
        )

    @property
    def embedding_size(self) -> int:
        """E."""
        return len(self.share)

    @property
    def size(self) -> int:
        """C."""
        return self.embedding_size + 2 * self.uncertainty

    @property
    def starts(self) -> State:
        """Sums of moments and their count, those that wait, and the encoder's."""
        xp = library(self.mean)
        moments = {"sums": xp.zeros(3 * self.embedding_size, dtype=xp.float64)}
        moments["count"] = xp.zeros(1, dtype=xp.float64)
        starts = dict(moments)
        if not self.within_trajectory:
            starts |= {f"waiting_{name}": value for name, value in moments.items()}
        if self.cell is not None:
            starts["encoder"] = xp.zeros(self.cell.size, dtype=xp.float32)
        return starts

    def add(self, state: State, features: Array, ended: Array) -> State:
        """One more transition ``[..., F]``; it counts at once, or with its trajectory's end."""
        xp, new = library(features), {}
        x = (features - self.mean) / self.std
        if self.cell is not None:
            x = new["encoder"] = self.cell(x, state["encoder"])
        y, size = double(self.layers(x)), self.embedding_size
        embedding, log_precision = y[..., :size], y[..., size:]
        precision = xp.exp(LOG_PRECISION_BOUND * tanh(log_precision / LOG_PRECISION_BOUND))
        weighted = precision * embedding
        moments = xp.concat([weighted, weighted * embedding, precision], -1)
        counted = "" if self.within_trajectory else "waiting_"
        new[f"{counted}sums"] = state[f"{counted}sums"] + moments
        new[f"{counted}count"] = state[f"{counted}count"] + 1.0
        if self.cell is None and self.within_trajectory:
            return new
        after = state | new
        ending = self.end(after)
        return new | {name: xp.where(ended > 0, ending[name], after[name]) for name in ending}

    def end(self, state: State) -> State:
        """What waits counts now, and the encoder begins anew."""
        new = {} if self.cell is None else {"encoder": 0.0 * state["encoder"]}
        if not self.within_trajectory:
            for name in ("sums", "count"):
                waiting = state[f"waiting_{name}"]
                new |= {name: state[name] + waiting, f"waiting_{name}": 0.0 * waiting}
        return new

    def context(self, state: State) -> Array:
        """As :func:`~metarl.embedding.prototypes.shown_prototypes`, ``[..., C]``."""
        return self._shown(state, self.uncertainty)

    def info(self, state: State) -> dict[str, Any]:
        """Of one trial: prototype, spread of the embeddings, precisions of the prototype."""
        shown = self._shown(state, uncertainty=True)
        size = self.embedding_size
        return {
            "prototype": shown[:size].tolist(),
            "spread": float(shown[-1]),
            "precision": state["sums"][2 * size :].tolist(),
        }

    def _shown(self, state: State, uncertainty: bool) -> Array:
        sums, count, size = state["sums"], state["count"], self.embedding_size
        xp = library(sums)
        total = sums[..., 2 * size :] + (count == 0)
        mean = sums[..., :size] / total
        if not uncertainty:
            return single(mean)
        variance = (sums[..., size : 2 * size] / total - mean * mean) @ self.share
        seen = xp.minimum(xp.log1p(count) / math.log1p(self.capacity), self.most)
        return single(xp.concat([mean, seen, xp.sqrt(relu(variance) + 1e-8)], -1))
