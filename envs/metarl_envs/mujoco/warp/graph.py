"""Warp's work recorded once, launched on torch's current stream."""

from collections.abc import Callable

import torch

from metarl_envs.mujoco.warp.installed import wp


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
        warp_device = wp.device_from_torch(device)
        with wp.ScopedDevice(warp_device):
            work()
            wp.synchronize_device(warp_device)
            with wp.ScopedCapture(warp_device) as capture:
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
