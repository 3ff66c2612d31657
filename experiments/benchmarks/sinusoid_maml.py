"""One meta-gradient of sinusoid regression: 25 tasks at once against a loop over the tasks.

MLP 1-40-40-1 with relu, 10 support and 10 query points, mean squared error (Finn et al. 2017,
section 5.1). The loop is what the peers run: ``functional_call`` and ``autograd.grad`` for each
task. Both sides must give the same meta-gradient in double precision before anything is timed;
the compiled rows in single precision, since every precision is compiled anew.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import harness
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from metarl.core import SGD, expand, lift, meta_loss, parameters_of
from metarl.nn import MLP
from metarl.types import Params

NUM_TASKS, NUM_SHOTS, INNER_LR = 25, 10, 0.01


class Batch(NamedTuple):
    """Support and query points of sinusoids, each ``[M, K, 1]``."""

    support_x: Tensor
    support_y: Tensor
    query_x: Tensor
    query_y: Tensor

    @staticmethod
    def draw(generator: torch.Generator) -> "Batch":
        """Amplitudes in [0.1, 5], phases in [0, π], x in [-5, 5]."""
        amplitude, phase = torch.rand(2, NUM_TASKS, 1, 1, generator=generator)
        x = 10 * torch.rand(2, NUM_TASKS, NUM_SHOTS, 1, generator=generator) - 5
        y = (0.1 + 4.9 * amplitude) * torch.sin(x - torch.pi * phase)
        return Batch(x[0], y[0], x[1], y[1])

    def double(self) -> "Batch":
        """In double precision."""
        return Batch(*(value.double() for value in self))


class Workload(NamedTuple):
    """A row of the results."""

    name: str
    model: nn.Module
    num_steps: int
    first_order: bool
    compiled: bool = False


def plain_network() -> nn.Module:
    """The network as PyTorch users write it."""
    return nn.Sequential(
        nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 1)
    )


def adapted_losses(work: Workload, params: Params, batch: Batch) -> Tensor:
    """Query loss of every task after adaptation, all tasks in one pass."""
    forward = lift(work.model)

    def loss(params: Params, points: tuple[Tensor, Tensor]) -> Tensor:
        x, y = points
        return (forward(params, x) - y).square().mean((1, 2))

    return meta_loss(
        SGD(INNER_LR, first_order=work.first_order),
        loss,
        loss,
        expand(params, NUM_TASKS),
        [(batch.support_x, batch.support_y)] * work.num_steps,
        (batch.query_x, batch.query_y),
    )


def batched(work: Workload, batch: Batch) -> Sequence[Tensor]:
    """Ours: all tasks in one pass."""
    params = parameters_of(work.model)
    losses = adapted_losses(work, params, batch)
    return torch.autograd.grad(losses.mean(), list(params.values()))


def compiled(work: Workload) -> Callable[[Batch], Sequence[Tensor]]:
    """Ours with ``--compile``: the whole meta-gradient as one compiled function."""

    def mean_loss(params: Params, batch: Batch) -> Tensor:
        return adapted_losses(work, params, batch).mean()

    gradient = torch.compile(torch.func.grad(mean_loss), dynamic=False)
    params = {name: value.detach() for name, value in parameters_of(work.model).items()}
    return lambda batch: list(gradient(params, batch).values())


def looped(work: Workload, batch: Batch) -> Sequence[Tensor]:
    """Theirs: one task after another."""
    meta = dict(work.model.named_parameters())
    losses = []
    for support_x, support_y, query_x, query_y in zip(*batch, strict=True):
        params = meta
        for _ in range(work.num_steps):
            loss = functional.mse_loss(functional_call(work.model, params, support_x), support_y)
            gradients = torch.autograd.grad(
                loss, list(params.values()), create_graph=not work.first_order
            )
            pairs = zip(params.items(), gradients, strict=True)
            params = {name: value - INNER_LR * gradient for (name, value), gradient in pairs}
        losses.append(functional.mse_loss(functional_call(work.model, params, query_x), query_y))
    return torch.autograd.grad(torch.stack(losses).mean(), list(meta.values()))


def compare(work: Workload, batch: Batch, pairs: int) -> harness.Row:
    """Check, then time."""
    peer = work._replace(model=plain_network())
    with torch.no_grad():  # the same weights on both sides
        mine = like_linear(work, list(work.model.parameters()))
        for value, other in zip(mine, peer.model.parameters(), strict=True):
            other.copy_(value)
    if work.compiled:
        run = partial(compiled(work), batch)
        _check_close(work, run(), looped(peer, batch), 1e-4)
    else:
        run = partial(batched, work, batch)
        _check_exact(work, peer, batch)
    ours, theirs = harness.alternate(
        harness.milliseconds(run, repeat=50),
        harness.milliseconds(partial(looped, peer, batch), repeat=5),
        pairs,
    )
    return harness.Row(
        name=work.name, against="task-loop", unit="milliseconds", ours=ours, theirs=theirs
    )


def like_linear(work: Workload, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Ours in the layout of ``nn.Linear``: a native network stores its weights transposed."""
    native = isinstance(work.model, MLP)
    return [tensor.T if native and tensor.ndim == 2 else tensor for tensor in tensors]


def _check_exact(work: Workload, peer: Workload, batch: Batch) -> None:
    models = work.model.double(), peer.model.double()
    _check_close(work, batched(work, batch.double()), looped(peer, batch.double()), 1e-10)
    for model in models:
        model.float()


def _check_close(
    work: Workload, ours: Sequence[Tensor], theirs: Sequence[Tensor], tolerance: float
) -> None:
    for mine, other in zip(like_linear(work, ours), theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=tolerance, atol=tolerance)


def main() -> None:
    """Check and time every row."""
    pairs = 8 if harness.quick_asked(__doc__) else 40
    generator = torch.Generator().manual_seed(0)
    batch = Batch.draw(generator)
    native = MLP([1, 40, 40, 1], "relu", generator)
    workloads = [
        Workload("sinusoid-maml", native, 1, False),
        Workload("sinusoid-maml-5", native, 5, False),
        Workload("sinusoid-maml-first-order", native, 1, True),
        Workload("sinusoid-maml-lifted", plain_network(), 1, False),
        Workload("sinusoid-maml-compiled", native, 1, False, compiled=True),
        Workload("sinusoid-maml-5-compiled", native, 5, False, compiled=True),
    ]
    harness.report([compare(work, batch, pairs) for work in workloads])


if __name__ == "__main__":
    main()
