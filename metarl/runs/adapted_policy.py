"""A policy that was adapted to one task, and what is kept of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metarl import report
from metarl.rl import Actor, Agent
from metarl.runs.deployed import export_policy
from metarl.runs.errors import InputError
from metarl.runs.evaluate import planar_paths, write_json
from metarl.runs.films import Camera
from metarl.types import ActionArray, Adaptation, Task, Video


@dataclass(frozen=True, kw_only=True)
class AdaptedPolicy:
    """A policy that was adapted to one task."""

    policy: Actor | Agent
    """After adaptation: an agent where what it has learned of the task is a state, as of ``rl2``,
    and may go on to change."""
    task: Task
    """Nothing of one that is not known."""
    adaptation: Adaptation[Actor | Agent]
    record: dict[str, Any]
    """The content of ``adaptation.json``."""

    def __repr__(self) -> str:
        returns = " -> ".join(f"{value:.2f}" for value in self.returns)
        return f"<AdaptedPolicy of task {self.task}, returns {returns}>"

    @property
    def returns(self) -> list[float]:
        """Mean return after 0..K steps; of recorded trajectories that of the data of each step."""
        values: list[float] = self.adaptation.values[:, 0].tolist()
        return values

    def act(self, observation: NDArray[Any], *, deterministic: bool = True) -> ActionArray:
        """The environment's action for one observation; the mean action unless told otherwise."""
        if isinstance(self.policy, Agent):
            noise = np.zeros(self.policy.noise_size) if deterministic else None
            return self.policy.act(observation, noise).action
        action, _ = self.policy.predict(observation, deterministic=deterministic)
        return action

    def save(self, path: str | Path) -> None:
        """Write the policy to a file that :func:`metarl.load_policy` reads.

        Of an agent its state, which ``load`` of another agent of the run (:meth:`metarl.Run.agent`)
        takes up.
        """
        self.policy.save(Path(path))

    def export_onnx(self, path: str | Path) -> list[Path]:
        """Write the policy as an ONNX graph; the files that were written.

        Raises:
            InputError: it cannot be written, or is an agent's, which its run exports.
        """
        return export_policy(self.policy, path, "onnx")

    def export_numpy(self, path: str | Path) -> list[Path]:
        """Write the policy as arrays in a .npz, and a reader that needs NumPy alone; as above."""
        return export_policy(self.policy, path, "numpy")

    def film(self, camera: Camera, seed: int = 0) -> Video:
        """The task before and after adaptation, mean actions."""
        before = self.adaptation.model(0, False)
        if isinstance(before, Agent) or isinstance(self.policy, Agent):
            raise InputError("an agent adapts while it acts, and is not filmed", "video")
        return camera.both(self.task, (before, self.policy), seed)

    def keep(self, folder: Path) -> list[str]:
        """Write policy, figures and, in the plane, a picture; lines that say what came of it."""
        agent = isinstance(self.policy, Agent)
        path = folder / ("agent.pt" if agent else "policy.pt")
        self.save(path)
        write_json(folder / "adaptation.json", self.record)
        paths = planar_paths(self.adaptation)
        if paths is not None:
            report.draw_paths(folder / "adaptation.png", paths[0])
        return [*self._told(), f"{'the agent, its state' if agent else 'adapted policy'}: {path}"]

    def _told(self) -> list[str]:
        """What came of it, line by line."""
        unit = self.adaptation.unit.split()[-1]
        if "num_steps" not in self.record:
            steps = len(self.returns) - 1
            return [
                f"return before adaptation: {self.returns[0]:.2f}",
                f"return after {steps} {unit}: {self.returns[-1]:.2f}",
            ]
        sizes = zip(self.record["trajectories"], self.record["num_steps"], strict=True)
        lines = [
            f"recorded: {num} trajectories of {steps} steps, mean return {mean:.2f}"
            for (num, steps), mean in zip(sizes, self.returns, strict=True)
        ]
        if shares := self.record.get("effective_sample_size"):
            shown = ", ".join("unknown" if share is None else f"{share:.1%}" for share in shares)
            lines.append(f"effective sample size of the steps taken: {shown}")
            if None in shares:
                lines.append("without log-probabilities they are taken for this policy's own")
        return lines
