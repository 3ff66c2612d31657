"""Compile the physics kernels of task families for a GPU, on a machine that may have none.

    WARP_CACHE_PATH=kernels python experiments/benchmarks/compile_kernels.py --arch 90 [ID ...]

Warp compiles each of a model's kernels when it is first launched, minutes for a new model, which a
machine with a GPU spends waiting. This launches them on the CPU, compiles each for the architecture
just before, and leaves the binaries in the folder: given to the other machine as WARP_CACHE_PATH,
with the same versions of Warp, MuJoCo Warp and this package, it has nothing left to compile.
Architectures: 80 is A100, 89 is RTX 40 and L40, 90 is H100 and H200, 100 is B200.
"""

import argparse
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import array_api_compat.torch as xp
import torch
import warp as wp

from metarl_envs.arrays import Arrays
from metarl_envs.mujoco.registry import declare
from metarl_envs.mujoco.warp.physics import WarpPhysics
from metarl_envs.mujoco.warp.sizes import choose_sizes

DEFAULT_IDS = ["metarl/HalfCheetahDir-v0", "metarl/AntVel-v0", "metarl/HopperRandParams-v0"]
DEFAULT_BLOCK = 256  # of a launch on CUDA that names none
FEW = 4  # worlds: kernels are the same for any number


class Compiler:
    """Compiles what is launched, before it is.

    Args:
        arch: compute capability times ten.
    """

    def __init__(self, arch: int) -> None:
        self._arch = arch
        self._done: set[tuple[str, int]] = set()
        self.num_compiled = 0

    @property
    def num_modules(self) -> int:
        """Those that were there before included."""
        return len(self._done)

    def watch(self) -> None:
        """From now on, whatever MuJoCo Warp launches is compiled first."""
        for name in ("launch", "launch_tiled", "get_suggested_block_size"):
            setattr(wp, name, self._compiling(getattr(wp, name)))

    def _compiling(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def compile_first(kernel: Any, *args: Any, **kwargs: Any) -> Any:
            if kernel.is_generic:
                raise TypeError(
                    f"{kernel.key} is generic: its kind is known only as it is launched"
                )
            self._compile(kernel.module, kwargs.get("block_dim") or DEFAULT_BLOCK)
            return call(kernel, *args, **kwargs)

        return compile_first

    def _compile(self, module: Any, block_dim: int) -> None:
        # a module has no public way to be compiled for another device than is there
        name = module.get_module_identifier(block_dim)
        if (name, block_dim) not in self._done:
            self._done.add((name, block_dim))
            options = module.resolve_options(wp.config, block_dim=block_dim)
            new = module._compile(output_arch=self._arch, use_ptx=False, options=options)
            self.num_compiled += new


def main() -> None:
    """Compile for the families of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ids", nargs="*", default=DEFAULT_IDS, metavar="ID")
    parser.add_argument("--arch", type=int, default=90, help="compute capability times ten")
    arguments = parser.parse_args()
    compiler = Compiler(arguments.arch)
    compiler.watch()
    for env_id in arguments.ids:
        started = time.perf_counter()
        family = declare(env_id.removeprefix("metarl/").removesuffix("-v0"), {})
        sizes = choose_sizes(family.robot, FEW, None, None)
        WarpPhysics(family, FEW, Arrays(xp, torch.float32, torch.device("cpu")), sizes)
        seconds = time.perf_counter() - started
        number = f"{compiler.num_modules} modules so far, {compiler.num_compiled} of them compiled"
        print(f"{env_id}: {number}, {seconds:.0f} s", flush=True)
    folder = Path(wp.config.kernel_cache_dir)
    size = sum(path.stat().st_size for path in folder.rglob(f"*.sm{arguments.arch}*"))
    print(f"{folder}: {size / 1e6:.1f} MB for sm_{arguments.arch}")


if __name__ == "__main__":
    main()
