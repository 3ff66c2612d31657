"""What policies see beside the observation, as functions of an explicit state.

:mod:`metarl.embedding.contexts` has the same for the environments of a simulator.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metarl.embedding.cells import Cell, Dense, State, cell_of, dense_of
from metarl.embedding.encoders import RecurrentEncoder, TransitionEncoder, split
from metarl.embedding.prototypes import OnlinePrototypes, moments, shown_prototypes


class HeldContext(NamedTuple):
    """Numbers that stay: the policy does not adapt."""

    values: Tensor
    """``[C]``; may be empty."""

    @property
    def size(self) -> int:
        """C."""
        return len(self.values)

    @property
    def state_sizes(self) -> dict[str, int]:
        """Nothing."""
        return {}

    def add(self, state: State, features: Tensor, ended: Tensor) -> State:
        """Nothing to remember."""
        return {}

    def end(self, state: State) -> State:
        """Nothing ends."""
        return {}

    def context(self, state: State) -> Tensor:
        """``[1, C]``."""
        return self.values[None]

    def info(self, state: State) -> dict[str, Any]:
        """Nothing."""
        return {}


class LastStep(NamedTuple):
    """The last action and reward, and whether they ended a trajectory (RL²)."""

    observation_size: int
    """D."""
    action_size: int
    """A."""

    @property
    def size(self) -> int:
        """A + 2."""
        return self.action_size + 2

    @property
    def state_sizes(self) -> dict[str, int]:
        """Of what is shown."""
        return {"last": self.size}

    def add(self, state: State, features: Tensor, ended: Tensor) -> State:
        """Remember that of ``features``, ``[B, F]``."""
        first = self.observation_size
        return {"last": torch.cat([features[:, first : first + self.action_size + 1], ended], 1)}

    def end(self, state: State) -> State:
        """The last step ended a trajectory."""
        last = state["last"]
        return {"last": torch.cat([last[:, :-1], torch.ones_like(last[:, -1:])], 1)}

    def context(self, state: State) -> Tensor:
        """``[B, A + 2]``."""
        return state["last"]

    def info(self, state: State) -> dict[str, Any]:
        """What it believes is in the network's state, which nobody can read."""
        return {}


@dataclass(frozen=True, kw_only=True)
class Prototype:
    """The prototype of the trial's task; :class:`~metarl.embedding.OnlinePrototypes` of a state."""

    mean: Tensor
    """Of the encoder's inputs, ``[F]``."""
    std: Tensor
    layers: Dense
    """Of the encoder, to embeddings and log precisions."""
    cell: Cell | None
    """Before them, of a recurrent encoder."""
    within_trajectory: bool
    uncertainty: bool
    capacity: int

    @classmethod
    def of(cls, prototypes: OnlinePrototypes) -> "Prototype":
        """With copies of an encoder's weights, on the CPU."""
        encoder = prototypes.encoder
        inputs = encoder.inputs
        assert inputs.running_mean is not None
        assert inputs.running_var is not None
        if isinstance(encoder, RecurrentEncoder):
            last, cell = encoder.last, cell_of(encoder.gru)
        else:
            assert isinstance(encoder, TransitionEncoder)
            last, cell = encoder.mlp, None
        return cls(
            mean=inputs.running_mean.cpu().clone(),
            std=(inputs.running_var.cpu() + inputs.eps).sqrt(),
            layers=dense_of(last),
            cell=cell,
            within_trajectory=prototypes.within_trajectory,
            uncertainty=prototypes.uncertainty,
            capacity=prototypes.capacity,
        )

    @property
    def embedding_size(self) -> int:
        """E."""
        return len(self.layers.biases[-1]) // 2

    @property
    def size(self) -> int:
        """C."""
        return self.embedding_size + 2 * self.uncertainty

    @property
    def state_sizes(self) -> dict[str, int]:
        """Sums of moments and their count, those that wait, and the encoder's."""
        moments_size = 3 * self.embedding_size + 1
        sizes = {"sums": moments_size}
        if not self.within_trajectory:
            sizes["waiting"] = moments_size
        if self.cell is not None:
            sizes["encoder"] = self.cell.size
        return sizes

    def add(self, state: State, features: Tensor, ended: Tensor) -> State:
        """One more transition ``[B, F]``; it counts at once, or with its trajectory's end."""
        x, new = (features - self.mean) / self.std, {}
        if self.cell is not None:
            x = torch.gru_cell(x, state["encoder"], *self.cell)
            new["encoder"] = x
        found = moments(split(self.layers(x)))
        counted = "sums" if self.within_trajectory else "waiting"
        new[counted] = state[counted] + torch.cat([found, torch.ones_like(found[:, :1])], 1)
        after = state | new
        ending = self.end(after)
        return new | {name: torch.where(ended > 0, ending[name], after[name]) for name in ending}

    def end(self, state: State) -> State:
        """What waits counts now, and the encoder begins anew."""
        new = {}
        if self.cell is not None:
            new["encoder"] = torch.zeros_like(state["encoder"])
        if not self.within_trajectory:
            new["sums"] = state["sums"] + state["waiting"]
            new["waiting"] = torch.zeros_like(state["waiting"])
        return new

    def context(self, state: State) -> Tensor:
        """``[B, C]``."""
        return self._shown(state, self.uncertainty)

    def info(self, state: State) -> dict[str, Any]:
        """Of the first trial: prototype, spread of the embeddings, precisions of the prototype."""
        shown = self._shown(state, uncertainty=True)[0]
        size = self.embedding_size
        return {
            "prototype": shown[:size].tolist(),
            "spread": float(shown[-1]),
            "precision": state["sums"][0, 2 * size : -1].tolist(),
        }

    def _shown(self, state: State, uncertainty: bool) -> Tensor:
        sums = state["sums"]
        return shown_prototypes(
            sums[:, :-1], sums[:, -1:], uncertainty=uncertainty, capacity=self.capacity
        )
