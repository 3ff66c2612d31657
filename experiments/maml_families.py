"""Rows of the MAML paper's RL table, for ``maml_table.py``: what is trained, and what they reached.

The authors' figures, settings and budgets are those of cbfinn/maml_rl: ``icml/*.pkl``, the names of
the runs in ``maml_examples/test_maml_*.py``, and the scripts beside these.
"""

import json
from typing import Any, Literal, NamedTuple

Learner = Literal["maml-trpo", "pretrained", "random-init", "oracle"]
FamilyName = Literal[
    "maml-navigation",
    "maml-half-cheetah-vel",
    "maml-half-cheetah-dir",
    "maml-ant-vel",
    "maml-ant-dir",
    "half-cheetah-vel",
    "half-cheetah-dir-200",
    "ant-vel",
    "ant-dir",
]
SOURCE = "MAML authors, cbfinn/maml_rl icml/*.pkl, one seed"

CHEETAH = (
    "their half-cheetah has control steps of 0.01 s (200 are 2 s, ours 10 s), 20 observations, and "
    "is rewarded for the speed of its centre of mass; log σ starts at 0, 40 tasks a meta-batch, "
    "two relu layers of 100"
)
ANT = (
    "their ant has control steps of 0.02 s (200 are 4 s, ours 10 s), other joints and contacts, "
    "125 observations and another survival bonus; 40 tasks a meta-batch, two relu layers of 100"
)
HELD_OUT = (
    "goals of the test from a part of the range that training leaves out, theirs from all of it; "
)
OURS = (
    "the fitted value goes on at the time limit, theirs ends there; meta-gradient through the "
    "sampling (LVC), theirs without; Fisher matrix of every ninth step, theirs of all"
)
SAME_PHYSICS = f"physics the authors', but MuJoCo 4 for 1.31; {OURS}"
"""What remains where the robots are the authors' own."""


class Family(NamedTuple):
    """A row of the authors' table."""

    env: str
    reference: dict[str, list[float]]
    """Their mean returns after 0, 1, ... steps, by learner."""
    differs: str
    """What they did otherwise; read in their files."""
    threshold: float
    """Return in training, after a step, that stands for having learned."""
    env_kwargs: dict[str, Any] = {"max_episode_steps": 200}  # noqa: RUF012 - never written to
    options: tuple[str, ...] = ("--min-log-std", "-1.5")
    """Of training, of all learners."""
    inner_lr: float = 0.1
    """In training."""
    max_kl: float = 0.01
    """Trust region."""
    iterations: int = 625
    """Meta-iterations, of as many environment steps each as ``options`` say; half as many steps
    where nothing is adapted in training."""
    test_step_sizes: dict[str, float] = {"pretrained": 0.02}  # noqa: RUF012 - never written to
    """First step size of evaluation by learner, where it is not that of training."""
    later: float = 0.5
    """Factor of later step sizes in evaluation."""
    test_trajectories: int = 20
    """A task and gradient step of evaluation."""

    def training(self, learner: str) -> list[str]:
        """The command that trains a learner, but for seed, iterations and folder."""
        command = ["train", learner, "--env", self.env, "--gae-lambda", "1.0"]
        if self.env_kwargs:
            command += ["--env-kwargs", json.dumps(self.env_kwargs)]
        command += self.options
        command += [] if learner == "oracle" else ["--inner-lr", str(self.inner_lr)]
        return command + ([] if learner == "random-init" else ["--max-kl", str(self.max_kl)])

    def test(self, learner: str) -> list[str]:
        """The options of its evaluation."""
        protocol = ["--tasks", "40", "--trajectories", str(self.test_trajectories)]
        if learner == "oracle":
            return [*protocol, "--steps", "0"]
        first = self.test_step_sizes.get(learner, self.inner_lr)
        sizes = (first, self.later * first, self.later * first)
        return [*protocol, "--steps", "3", "--inner-lr", *map(str, sizes)]


def authors(num_tasks: int, num_trajectories: int) -> tuple[str, ...]:
    """Options of training as the authors have them; σ may fall to 1e-6."""
    sizes = ["--meta-batch-size", num_tasks, "--num-trajectories", num_trajectories]
    policy = ["--hidden-sizes", "100", "100", "--activation", "relu", "--min-log-std", "-13.8"]
    return (*map(str, sizes), *policy)


PHYSICS = {"physics": "maml", "max_episode_steps": 200}
REFERENCES: dict[str, dict[str, list[float]]] = {
    "navigation": {
        "maml-trpo": [-40.4, -11.7, -3.3, -3.2],
        "pretrained": [],  # its file is not in the repository
        "random-init": [-82.7, -58.0, -53.8, -46.8],
        "oracle": [-2.3],
    },
    "half-cheetah-vel": {
        "maml-trpo": [-129.5, -78.6, -66.6, -60.8],
        "pretrained": [-158, -135, -129, -134],
        "random-init": [-255, -254, -247, -231],
        "oracle": [-54.5],
    },
    "half-cheetah-dir": {
        "maml-trpo": [-50.7, 293.2, 313.5, 315.7],
        "pretrained": [-43, -25, -13, 20],
        "random-init": [-36, 22, 62, 86],
        "oracle": [442.7],
    },
    "ant-vel": {
        "maml-trpo": [30.6, 96.7, 100.1, 101.4],
        "pretrained": [-1.8, 6.1, 8.5, 9.5],
        "random-init": [-79, -63, -49, -36],
        "oracle": [107.9],
    },
    "ant-dir": {
        "maml-trpo": [8.7, 499.1, 500.7, 499.1],
        "pretrained": [3, 1, 6, 7],
        "random-init": [3, 9, 16, 26],
        "oracle": [524.8],
    },
}
STEP_SIZES = {"pretrained": 0.2, "random-init": 1.0}
FROM_SMALL_SIGMA = ("--min-log-std", "-1.5", "--initial-log-std", "-1.0")

FAMILIES: dict[FamilyName, Family] = {
    "maml-navigation": Family(
        "metarl/PointGoal-v0",
        REFERENCES["navigation"],
        f"{HELD_OUT}{OURS}",
        threshold=-15.0,
        env_kwargs={},
        options=authors(20, 20),
        inner_lr=0.5,
        iterations=100,
        test_step_sizes={},
        test_trajectories=40,
    ),
    "maml-half-cheetah-vel": Family(
        "metarl/HalfCheetahVel-v0",
        REFERENCES["half-cheetah-vel"],
        f"{HELD_OUT}{SAME_PHYSICS}",
        threshold=-100.0,
        env_kwargs=PHYSICS,
        options=authors(40, 10),
        iterations=475,
        test_step_sizes={"pretrained": 0.02},
    ),
    "maml-half-cheetah-dir": Family(
        "metarl/HalfCheetahDir-v0",
        REFERENCES["half-cheetah-dir"],
        SAME_PHYSICS,
        threshold=150.0,
        env_kwargs=PHYSICS,
        options=authors(40, 20),
        max_kl=0.02,
        iterations=100,
        test_step_sizes=STEP_SIZES | {"random-init": 0.5},
    ),
    "maml-ant-vel": Family(
        "metarl/AntVel-v0",
        REFERENCES["ant-vel"],
        f"{HELD_OUT}{SAME_PHYSICS}; 20 trajectories of adaptation, theirs as many as have 4,000 "
        "steps",
        threshold=50.0,
        env_kwargs=PHYSICS,
        options=authors(40, 20),
        iterations=375,
        test_step_sizes=STEP_SIZES,
    ),
    "maml-ant-dir": Family(
        "metarl/AntDir-v0",
        REFERENCES["ant-dir"],
        f"{SAME_PHYSICS}; 20 trajectories a task in training, theirs 40; 40 of adaptation, theirs "
        "as many as have 8,000 steps",
        threshold=250.0,
        env_kwargs=PHYSICS,
        options=authors(40, 20),
        iterations=575,
        test_step_sizes=STEP_SIZES,
        later=0.01,
        test_trajectories=40,
    ),
    "half-cheetah-vel": Family(
        "metarl/HalfCheetahVel-v0",
        REFERENCES["half-cheetah-vel"],
        CHEETAH,
        threshold=-100.0,
        options=FROM_SMALL_SIGMA,
        inner_lr=0.05,
    ),
    "half-cheetah-dir-200": Family(
        "metarl/HalfCheetahDir-v0",
        REFERENCES["half-cheetah-dir"],
        CHEETAH,
        threshold=150.0,
        options=FROM_SMALL_SIGMA,
        inner_lr=0.05,
    ),
    "ant-vel": Family("metarl/AntVel-v0", REFERENCES["ant-vel"], ANT, 50.0),
    "ant-dir": Family("metarl/AntDir-v0", REFERENCES["ant-dir"], ANT, 250.0),
}
