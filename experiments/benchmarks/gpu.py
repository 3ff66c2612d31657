"""What one GPU does, from physics to meta-gradient, in stages of which each writes as it ends.

    python experiments/benchmarks/gpu.py [--small] [--only STAGE ...] [--seconds N] [--output FILE]

Sampling is ``DeviceSampler.collect``: seeds, noise, policy 64-64, physics, rewards, the record and
what becomes a ``Rollout``. Every figure is the median of several calls, each waited for. Where a
trajectory ends early its environment is stepped on; steps count as simulated, and ``counted`` says
which share of them were part of a trajectory. Without CUDA the stages run small on the CPU, where
their times say nothing.
"""

import argparse
import gc
import json
import platform
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from unittest.mock import patch

import array_api_compat.torch as xp
import conv_maml
import policy_learners
import torch
from gymnasium import spaces
from policy_update import make as make_on_cores

from metarl.core import Streams, expand, parameters_of
from metarl.nn import CategoricalPolicy, GaussianPolicy, policy_network
from metarl.rl import PRESETS, DeviceEnvs, DeviceSampler, MAMLLearner, make_maml
from metarl_envs.making import make_device

RESULTS = Path(__file__).with_name("gpu.json")
SMALL_RESULTS = Path(__file__).parents[2] / "build" / "gpu.json"
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Work(NamedTuple):
    """A meta-batch of a family."""

    env_id: str
    num_tasks: int
    num_trajectories: int
    horizon: int
    action_scale: float = 1.0
    options: dict[str, Any] = {}  # noqa: RUF012  # of the family

    @property
    def num_steps(self) -> int:
        """Simulated environment steps of a rollout."""
        return self.num_tasks * self.num_trajectories * self.horizon

    def smaller(self) -> "Work":
        """For the CPU."""
        return self._replace(num_tasks=2, num_trajectories=2, horizon=4)


class Figure(NamedTuple):
    """One line of the result."""

    name: str
    values: list[float]
    unit: str
    extra: dict[str, Any] = {}  # noqa: RUF012

    def record(self) -> dict[str, Any]:
        """As it is written."""
        values = sorted(self.values)
        spread = {"median": median(values), "min": values[0], "max": values[-1]}
        return {"name": self.name, **spread, "unit": self.unit, **self.extra}


def waited(work: Callable[[], object]) -> float:
    """Seconds of some work until the device has done it."""
    start = time.perf_counter()
    work()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def seconds(work: Callable[[], object], times: int = 5, warm: int = 2) -> list[float]:
    """Of several calls, after those that do not count."""
    for _ in range(warm):
        waited(work)
    return [waited(work) for _ in range(times)]


def make_sampler(work: Work) -> DeviceSampler:
    """On the device."""
    num_envs = work.num_tasks * work.num_trajectories
    env: Any = make_device(work.env_id, num_envs, DEVICE, xp, **work.options)
    known = env.single_observation_space, env.single_action_space
    return DeviceSampler(
        DeviceEnvs(lambda num: env, num_envs, *known),
        num_tasks=work.num_tasks,
        horizon=work.horizon,
        discount=0.99,
        action_scale=work.action_scale,
    )


def make_policy(sampler: DeviceSampler) -> GaussianPolicy | CategoricalPolicy:
    """64-64, for the sampler's spaces."""
    space = sampler.env.single_action_space
    size = int(space.n) if isinstance(space, spaces.Discrete) else spaces.flatdim(space)
    generator = torch.Generator().manual_seed(0)
    network = policy_network(sampler.observation_size, size, generator=generator)
    made: GaussianPolicy | CategoricalPolicy
    if isinstance(space, spaces.Discrete):
        made = CategoricalPolicy(network, size)
    else:
        made = GaussianPolicy(network, size, min_log_std=-0.5)
    return made.to(DEVICE)


def sampling(work: Work, name: str = "") -> list[Figure]:
    """Environment steps a second, and what of it is the environment."""
    if DEVICE.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()  # so that what is in use afterwards is this rollout's
    sampler = make_sampler(work)
    policy, streams = make_policy(sampler), Streams(0, "training")
    params = expand(parameters_of(policy), work.num_tasks)
    sampler.draw_tasks(streams.numpy("tasks"), "train")
    rollouts: list[Any] = []
    taken = seconds(lambda: rollouts.append(sampler.collect(policy, params, streams)))
    name = name or f"{work.env_id.partition('/')[2]} {work.num_tasks}x{work.num_trajectories}"
    counted = rollouts[-1].num_steps() / work.num_steps
    extra: dict[str, Any] = {"worlds": work.num_tasks * work.num_trajectories, "counted": counted}
    if DEVICE.type == "cuda":
        free, total = torch.cuda.mem_get_info()
        extra["gigabytes"] = (total - free) / 1e9
    figures = [Figure(f"{name}: sampling", [work.num_steps / s for s in taken], "steps/s", extra)]
    env: Any = sampler.env.env
    if hasattr(env, "physics"):
        physics = physics_seconds(env, lambda: sampler.collect(policy, params, streams))
        share = [100 * physics / s for s in taken]
        figures.append(Figure(f"{name}: share of physics", share, "%"))
        bare = seconds(lambda: [env.physics.step() for _ in range(work.horizon)], times=3, warm=1)
        rates = [work.num_steps / s for s in bare]
        figures.append(Figure(f"{name}: physics alone, after the rollout", rates, "steps/s"))
    return figures


def physics_seconds(env: Any, rollout: Callable[[], object]) -> float:
    """Of the physics within some work, as the device sees it."""
    step, spans = env.physics.step, []

    def timed() -> None:
        events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
        events[0].record()
        step()
        events[1].record()
        spans.append(events)

    if DEVICE.type != "cuda":
        return waited(lambda: [step() for _ in range(2)])
    with patch.object(env.physics, "step", timed):
        waited(rollout)
    return sum(first.elapsed_time(last) for first, last in spans) / 1e3


CHEETAH = Work("metarl/HalfCheetahDir-v0", 400, 20, 100, 10.0)


def half_cheetah(small: bool) -> list[Figure]:
    """The main meta-batch."""
    return sampling(CHEETAH.smaller() if small else CHEETAH)


def cores(small: bool) -> list[Figure]:
    """The same meta-batch by the C engine on all cores, the policy on the GPU."""
    work = CHEETAH.smaller() if small else CHEETAH
    learner = policy_learners.make_learner(
        "maml-trpo",
        work.env_id,
        num_tasks=work.num_tasks,
        num_trajectories=work.num_trajectories,
        action_scale=work.action_scale,
        device=DEVICE.type,
    )
    sampler, streams = learner.sampler, Streams(0, "training")
    sampler.draw_tasks(streams.numpy("tasks"), "train")
    params = expand(parameters_of(learner.policy), work.num_tasks)
    taken = seconds(lambda: sampler.collect(learner.policy, params, streams), times=2, warm=1)
    steps = work.num_tasks * work.num_trajectories * 100
    return [Figure("HalfCheetahDir, C engine: sampling", [steps / s for s in taken], "steps/s")]


def bodies(small: bool) -> list[Figure]:
    """Own goals or bodies in every world."""
    works = [
        Work("metarl/AntVel-v0", 400, 20, 50),
        Work("metarl/HopperRandParams-v0", 400, 20, 50),
    ]
    return [f for work in works for f in sampling(work.smaller() if small else work)]


def pure(small: bool) -> list[Figure]:
    """Families without physics."""
    works = [
        Work("metarl/PointGoal-v0", 2048, 20, 100),
        Work("metarl/GridNavi-v0", 2048, 20, 15),
        Work("metarl/BernoulliBandit-v0", 2048, 20, 10),
    ]
    return [f for work in works for f in sampling(work.smaller() if small else work)]


def worlds(small: bool) -> list[Figure]:
    """The same rollout in more and more worlds."""
    sizes = (25, 100, 400, 1600) if not small else (1, 2)
    works = [CHEETAH._replace(num_tasks=num, num_trajectories=20, horizon=20) for num in sizes]
    return [f for work in works for f in sampling(work, f"HalfCheetahDir, {work.num_tasks * 20}")]


def make_trpo(work: Work) -> MAMLLearner:
    """``maml-trpo`` on the device."""
    sampler = make_sampler(work)
    config = PRESETS["maml-trpo"].config
    return make_maml(config, make_policy(sampler), sampler, seed=0)


def iteration(small: bool) -> list[Figure]:
    """A whole iteration of ``maml-trpo``, and its parts."""
    learner = make_trpo(CHEETAH.smaller() if small else CHEETAH)
    learner.iterate()
    collecting, updating = [], []
    for _ in range(3):
        data: list[Any] = []
        collecting.append(waited(lambda data=data: data.append(learner.collect())))
        updating.append(waited(lambda data=data: learner.update(data[0])))
    figures = [
        Figure("maml-trpo iteration: collect", collecting, "s"),
        Figure("maml-trpo iteration: update", updating, "s"),
    ]
    env: Any = learner.sampler.env.env  # type: ignore[union-attr]
    if hasattr(env, "physics"):
        physics = physics_seconds(env, learner.collect)
        pairs = zip(collecting, updating, strict=True)
        outside = [100 * (1 - physics / (c + u)) for c, u in pairs]
        figures.append(Figure("maml-trpo iteration: outside physics", outside, "%"))
    return figures


def updates(small: bool) -> list[Figure]:
    """Updates of 40 tasks of 20 trajectories on the device, from the C engine's data."""
    figures = []
    for name in ("promp", "maml-trpo"):
        learner = make_on_cores(name, 1 if small else 20, device=DEVICE.type)
        taken = seconds(partial(learner.update, learner.collect()))
        figures.append(Figure(f"{name} update, 40 x 20 x 100", [1e3 * s for s in taken], "ms"))
    return figures


def fewshot(small: bool) -> list[Figure]:
    """One meta-gradient of second-order MAML on Conv4-64, 5 steps, by Python and by a graph."""
    work = conv_maml.WORKLOADS[1]._replace(num_tasks=2 if small else 32)
    sides = conv_maml.Sides.make(work).to(DEVICE)
    descent, episodes = sides.learner.descent, sides.episodes
    ways = {"Python": descent.add, "graph": descent.add_repeated}
    figures = []
    for name, add in ways.items():
        taken = seconds(partial(add, episodes, episodes.num_episodes), warm=4)
        title = f"MAML Conv4-64, 5 steps, {work.num_tasks} tasks: {name}"
        figures.append(Figure(title, [1e3 * s for s in taken], "ms"))
    return figures


STAGES: dict[str, Callable[[bool], list[Figure]]] = {
    "half-cheetah": half_cheetah,
    "iteration": iteration,
    "few-shot": fewshot,
    "cores": cores,
    "bodies": bodies,
    "pure": pure,
    "worlds": worlds,
    "updates": updates,
}
"""Most valuable first."""


def run(names: Iterable[str], *, small: bool, budget: float, output: Path) -> None:
    """Stages in turn while there is time; each is written before the next starts."""
    started = time.perf_counter()
    records: dict[str, Any] = json.loads(output.read_text()) if output.exists() else {}
    for name in names:
        if time.perf_counter() - started > budget:
            print(f"{name}: no time is left", flush=True)
            continue
        begun = time.perf_counter()
        figures = [figure.record() for figure in STAGES[name](small)]
        for r in figures:
            print(f"{r['name']}: {r['median']:,.4g} [{r['min']:,.4g}, {r['max']:,.4g}] {r['unit']}")
        print(f"{name}: {time.perf_counter() - begun:.0f} s", flush=True)
        records[name] = {"figures": figures, **where()}
        temporary = output.with_suffix(".tmp")
        temporary.write_text(json.dumps(records, indent=2) + "\n")
        temporary.replace(output)


def where() -> dict[str, Any]:
    """Card, versions and command."""
    packages = ("torch", "mujoco", "mujoco-warp", "warp-lang")
    return {
        "card": torch.cuda.get_device_name() if DEVICE.type == "cuda" else "none",
        "versions": {"python": platform.python_version(), **{p: _version(p) for p in packages}},
        "command": " ".join(["python", "experiments/benchmarks/gpu.py", *sys.argv[1:]]),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="tiny, to see that it runs")
    parser.add_argument("--only", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--seconds", type=float, default=240.0, help="no stage starts after these")
    parser.add_argument("--output", type=Path, help="gpu.json; of a tiny run a file in build/")
    options = parser.parse_args()
    small = options.small or DEVICE.type != "cuda"
    output = options.output or (SMALL_RESULTS if small else RESULTS)
    output.parent.mkdir(exist_ok=True)
    run(options.only, small=small, budget=options.seconds, output=output)


if __name__ == "__main__":
    main()
