"""Work recorded once: Warp's and torch's, launched on torch's current stream."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from metarl_envs.mujoco.warp.installed import wp


def on_warp(device: torch.device) -> wp.Device:
    """Warp's name of the device; torch's ``cuda`` is the one that is current."""
    return wp.device_from_torch(torch.empty(0, device=device).device)


class Graph:
    """A sequence of Warp launches, replayed without Python: a CUDA graph, or Warp's own on a CPU.

    Recording keeps pointers: arrays must be allocated before, and written in place after.

    Args:
        device: where it runs.
        work: what is recorded. It also runs once here, which compiles and loads its kernels.
    """

    def __init__(self, device: torch.device, work: Callable[[], None]) -> None:
        self.work = work
        self._device = device
        self._streams: dict[int, wp.Stream] = {}
        place = on_warp(device)
        with wp.ScopedDevice(place):
            if place.is_cuda:
                torch.cuda.synchronize(device)  # Warp works on a stream of its own here
            work()
            wp.synchronize_device(place)
            with _without_collecting(), wp.ScopedCapture(place) as capture:
                work()
        self._graph = capture.graph

    def launch(self) -> None:
        """Run it, in order with what torch does; on a GPU this returns at once."""
        wp.capture_launch(self._graph, self._stream() if self._device.type == "cuda" else None)

    def _stream(self) -> wp.Stream:
        current = torch.cuda.current_stream(self._device)
        if current.cuda_stream not in self._streams:
            stream = wp.stream_from_torch(current)  # type: ignore[no-untyped-call]
            self._streams[current.cuda_stream] = stream
        return self._streams[current.cuda_stream]


def recorded(device: torch.device, work: Callable[[], None]) -> Callable[[], None]:
    """The same torch operations on the same tensors: on CUDA as one graph, else as they are.

    Args:
        device: where.
        work: what it does may be done several times here.
    """
    if device.type != "cuda":
        return work
    work()  # torch makes what it needs at the first call
    graph = torch.cuda.CUDAGraph()
    with _without_collecting(), torch.cuda.graph(graph):
        work()
    return graph.replay


@contextmanager
def _without_collecting() -> Iterator[None]:
    """No garbage is collected: a graph of old among it would end, which spoils a capture."""
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
