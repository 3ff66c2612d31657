"""Work that a CUDA graph repeats: its hundreds of launches, without Python between them."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

Tensors = tuple[Tensor, ...]
EAGER_CALLS = 2
"""Of new shapes run as they are: libraries choose and load their kernels then."""
MOST_GRAPHS = 4
"""Each keeps the memory of its work."""


class Captured:
    """A function of tensors that is captured where they are on a GPU, and called elsewhere.

    On a GPU the third call with inputs of the same shapes and types captures a CUDA graph
    (``torch.cuda.graph``), and later ones replay it. Inputs are copied into the graph's own; other
    tensors that the function reads or writes must stay where they are in memory, and be changed in
    place only.

    Args:
        work: of tensors (and constants by name), to tensors. It must not synchronise with the host,
            and do the same whatever the numbers are.
    """

    def __init__(self, work: Callable[..., Tensors]) -> None:
        self.work = work
        self._calls: dict[object, int] = {}
        self._graphs: dict[object, _Graph] = {}

    def __call__(self, *inputs: Tensor, **constants: int) -> Tensors:
        """What the function gives; from a GPU good until the next call with these shapes."""
        work = partial(self.work, **constants)
        if inputs[0].device.type != "cuda":
            return work(*inputs)
        key = (*((x.shape, x.dtype) for x in inputs), *constants.items())
        if key not in self._graphs:
            calls = self._calls[key] = self._calls.get(key, 0) + 1
            if calls <= EAGER_CALLS or len(self._graphs) == MOST_GRAPHS:
                return work(*inputs)
            self._graphs[key] = _Graph(work, inputs)
        return self._graphs[key].replay(inputs)


class _Graph:
    """One captured call."""

    def __init__(self, work: Callable[..., Tensors], inputs: Sequence[Tensor]) -> None:
        self.inputs = [x.clone() for x in inputs]
        self.graph = torch.cuda.CUDAGraph()
        with capturing(self.graph):
            self.outputs = work(*self.inputs)

    def replay(self, inputs: Sequence[Tensor]) -> Tensors:
        for own, value in zip(self.inputs, inputs, strict=True):
            own.copy_(value)
        self.graph.replay()
        return self.outputs


@contextmanager
def capturing(graph: torch.cuda.CUDAGraph) -> Iterator[None]:
    """What is launched becomes part of the graph.

    No garbage is collected meanwhile: a graph of old among it would end, which spoils a capture.
    """
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        with torch.cuda.graph(graph):
            yield
    finally:
        if collecting:
            gc.enable()
