"""What runs on a robot: NumPy, an ONNX runtime and environments; neither torch nor metarl.

As a script: trials of given tasks by given noise, by the files of a folder; writes their returns.
"""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np

FORBIDDEN = ("torch", "metarl", "stable_baselines3", "sb3_contrib")


class OnnxAgent:
    """An ONNX graph of one step, its state, and what came of the step before."""

    def __init__(self, path: Any) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options)
        self.reset()

    def reset(self) -> None:
        kinds = {
            "tensor(float)": np.float32,
            "tensor(double)": np.float64,
            "tensor(bool)": np.bool_,
        }
        inputs = {i.name: (i.shape[1:], kinds[i.type]) for i in self.session.get_inputs()}
        self.inputs = {n: np.zeros((1, *shape), kind) for n, (shape, kind) in inputs.items()}

    def act(self, seen: Any, noise: Any) -> Any:
        self.inputs["observation"][0], self.inputs["noise"][0] = seen, noise
        outputs = self.session.run(None, self.inputs)
        self.inputs |= {"state": outputs[3]} if len(outputs) > 3 else {}
        return [values[0] for values in outputs[:3]]

    def observe(self, *step: Any) -> None:
        for name, value in zip(list(self.inputs)[2:8], step, strict=False):
            self.inputs[name][0] = value


def numpy_agent(folder: Path) -> Any:
    """That of the reader that was written beside the arrays."""
    spec = importlib.util.spec_from_file_location("numpy_agent", folder / "numpy_agent.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.NumpyAgent(folder / "agent.npz")


def trials(agent: Any, env: Any, tasks: Any, noise: Any) -> Any:
    """Returns ``[M, K]`` of K trajectories of every task, by noise ``[M, K, T, A]``."""
    returns = np.zeros(noise.shape[:2])
    for m, task in enumerate(tasks):
        env.unwrapped.task = task
        agent.reset()
        for k in range(noise.shape[1]):
            seen, _ = env.reset(seed=1000 * m + k)
            for t in range(noise.shape[2]):
                raw, action, _ = agent.act(seen, noise[m, k, t])
                after, reward, terminated, truncated, _ = env.step(action)
                truncated |= t == noise.shape[2] - 1
                agent.observe(seen, raw, reward, after, terminated, truncated)
                returns[m, k] += reward
                seen = after
                if terminated:
                    break
    return returns


class Blocked:
    """Finds nothing of what is forbidden, wherever it lies."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.split(".")[0] in FORBIDDEN:
            raise ImportError(f"{name} is not on this robot")


def main(folder: Path) -> None:
    sys.meta_path.insert(0, Blocked())  # type: ignore[arg-type]
    import gymnasium as gym

    import metarl_envs  # noqa: F401  # registers the ids

    given = np.load(folder / "given.npz")
    tasks = [{"goal": goal} for goal in given["goals"]]
    agents = {"numpy": numpy_agent(folder), "onnx": OnnxAgent(folder / "agent.onnx")}
    env = gym.make("metarl/PointGoal-v0", max_episode_steps=given["noise"].shape[2])
    found = {name: trials(agent, env, tasks, given["noise"]) for name, agent in agents.items()}
    assert not set(FORBIDDEN) & set(sys.modules)
    np.savez(folder / "returns.npz", **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
