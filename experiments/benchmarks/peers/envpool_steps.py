"""Environment steps a second of EnvPool, for an interpreter that has it.

``python envpool_steps.py`` prints the versions of EnvPool and of the MuJoCo in it, as JSON.
``python envpool_steps.py ENV_ID NUM_ENVS NUM_THREADS`` steps with random actions for every number
of seconds read from stdin and prints the answer.
"""

import ctypes
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import envpool
import numpy as np

BLOCK = 10  # steps between two looks at the clock


def versions() -> dict[str, str]:
    """Of EnvPool and of the MuJoCo that is linked into it."""
    library = ctypes.CDLL(str(Path(envpool.__file__).parent / "mujoco/mujoco_gym_envpool.so"))
    library.mj_versionString.restype = ctypes.c_char_p
    return {"envpool": version("envpool"), "mujoco": library.mj_versionString().decode()}


def main(env_id: str, num_envs: int, num_threads: int) -> None:
    """Answer until stdin ends."""
    env = envpool.make(
        env_id, env_type="gymnasium", num_envs=num_envs, num_threads=num_threads, seed=0
    )
    space, rng = env.action_space, np.random.default_rng(0)
    env.reset()
    for line in sys.stdin:
        elapsed, num_steps = 0.0, 0
        while elapsed < float(line):
            block = rng.uniform(space.low, space.high, (BLOCK, num_envs, *space.shape))
            start = time.perf_counter()
            for actions in block:
                env.step(actions)
            elapsed += time.perf_counter() - start
            num_steps += BLOCK * num_envs
        print(num_steps / elapsed, flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        print(json.dumps(versions()))
    else:
        main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
