"""Small runs of every learner, by two versions of metarl on one machine: what changed between them?

``make golden OLD=<commit>`` trains each problem of :data:`PROBLEMS` for three iterations with the
old and the new version, and says where parameters, metrics and evaluations differ. It uses nothing
but the command line and the files of a run folder, so any two versions can be compared.

``make golden-values`` trains them with this version alone and writes a few numbers of each to
``values.json``, to which ``test_values.py`` holds later versions. Look at what changed before you
commit that file: it says that every run comes out differently. The numbers are one kind of
processor's: each adds up in its own order, and three iterations of so few samples blow that up (the
conjugate gradients of 240 steps turn 1e-14 into 1e-7, Adam divides gradients that are 0 but for
rounding by their size). Other kinds' are dropped for every problem that comes out otherwise.
"""

import argparse
import csv
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[2]
VALUES = Path(__file__).with_name("values.json")
SHAPES = (
    "--iterations 3 --eval-every 2 --meta-batch-size 3 --num-trajectories 4 --horizon 10 "
    "--hidden-sizes 8 8"
)
POINT = f"--env metarl/PointGoal-v0 {SHAPES}"
SMALL_PPO = "--num-epochs 2 --num-minibatches 2"
ENCODER = "--encoder-warmup 4 --encoder-steps 3 --embedding-size 3 --num-ways 4"
GLYPHS = (
    "--data glyphs --backbone mlp --hidden-sizes 8 --iterations 3 --eval-every 2 "
    "--num-ways 3 --num-validation 4"
)
STEPS = "--meta-batch-size 2 --num-test-steps 2"

PROBLEMS: dict[str, str] = {
    **{
        name: f"train {name} {POINT}"
        for name in (
            "maml-trpo",
            "maml-vpg",
            "maml-ppo",
            "promp",
            "e-maml",
            "fomaml",
            "reptile",
            "anil",
            "cavia",
            "meta-sgd",
            "pretrained",
            "random-init",
            "oracle",
        )
    },
    "maml-trpo-dice": f"train maml-trpo {POINT} --estimator dice --num-inner-steps 2",
    "maml-trpo-chunks": f"train maml-trpo {POINT} --task-chunk 2",
    "maml-trpo-bandit": "train maml-trpo --env metarl/BernoulliBandit-v0 --iterations 3",
    "maml-vpg-mdp": "train maml-vpg --env metarl/TabularMDP-v0 --iterations 3",
    "maml-trpo-cheetah": f"train maml-trpo --env metarl/HalfCheetahVel-v0 {SHAPES}",
    "rl2": f"train rl2 {POINT} {SMALL_PPO} --hidden-size 8",
    "proto-embedding": f"train proto-embedding {POINT} {SMALL_PPO} {ENCODER}",
    "proto-embedding-recurrent": (
        f"train proto-embedding {POINT} {SMALL_PPO} {ENCODER} --encoder recurrent"
    ),
    "proto-embedding-joint": (
        f"train proto-embedding {POINT} {SMALL_PPO} {ENCODER} --joint --normalise none"
    ),
    "proto-embedding-sac": (
        f"train proto-embedding {POINT} {ENCODER} --optimiser sac --gradient-steps 3"
    ),
    "sb3-ppo": f"train sb3-ppo {POINT} {SMALL_PPO}",
    "sb3-oracle": f"train sb3-oracle {POINT} {SMALL_PPO}",
    "sb3-finetune": f"train sb3-finetune {POINT} {SMALL_PPO}",
    **{
        f"fewshot-{name}": f"fewshot {name} {GLYPHS} {STEPS}"
        for name in ("maml", "fomaml", "anil", "meta-sgd", "reptile", "maml++", "proto-maml")
    },
    **{
        f"fewshot-{name}": f"fewshot {name} {GLYPHS}"
        for name in ("protonet", "matching", "r2d2", "baseline", "baseline++", "knn")
    },
    "fewshot-maml-conv4": f"fewshot maml {GLYPHS} {STEPS} --backbone conv4 --filters 4",
    "fewshot-protonet-conv4": (
        f"fewshot protonet {GLYPHS} --backbone conv4 --filters 4 --norm transductive "
        "--augmentation affine"
    ),
    "fewshot-sinusoid": (
        "fewshot maml --data sinusoid --backbone mlp --hidden-sizes 8 --iterations 3 "
        "--num-shots 5 --inner-lr 0.01"
    ),
}
"""Name of a problem to its command, without seed, device and output."""

RUNNER = """
import sys
from pathlib import Path
from metarl.cli import main
folder = Path(sys.argv[1])
for line in sys.stdin:
    name, *arguments = line.split()
    common = ["--seed", "1", "--device", "cpu", "--output", str(folder / name)]
    status = main([*arguments, *common])
    if status:
        sys.exit(f"{name}: exit status {status}")
"""


def train(version: Path, folder: Path, names: list[str]) -> subprocess.Popen[str]:
    """Start training the problems with the metarl of a checkout."""
    # a version of before the distribution's name changed asks for its own metadata
    metadata = version / "metarl-0.1.0.dist-info"
    if version != ROOT:
        metadata.mkdir(exist_ok=True)
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: metarl\nVersion: 0.1.0\n")
    inside = version / "envs"  # before the package had a name of its own it was this folder
    places = [str(version), *([str(inside)] if (inside / "metarl_envs").exists() else [])]
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", RUNNER, str(folder)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,  # so that no package of the current folder is imported
            env=os.environ | {"PYTHONPATH": os.pathsep.join(places)},
        )
    assert process.stdin is not None
    process.stdin.write("".join(f"{name} {PROBLEMS[name]}\n" for name in names))
    process.stdin.close()
    return process


def outcome(folder: Path) -> dict[str, Any]:
    """Parameters, metrics and evaluation of the one run in a folder."""
    (run,) = [config.parent for config in folder.glob("*/config.json")]
    newest = max((run / "checkpoints").glob("*.pt"))
    state = torch.load(newest, map_location="cpu", weights_only=True)["learner"]
    evaluation = json.loads((run / "evaluation.json").read_text())
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    values = {
        f"metrics {row['iteration']} {key}": float(value)
        for row in rows
        for key, value in row.items()
        if value and not key.startswith("time/")
    }
    kept = ("policy", "step_sizes", "network", "head", "model", "encoder", "normalisation")
    values |= {f"parameters {name}": value for name, value in flat({k: state.get(k) for k in kept})}
    named = ("returns", "accuracy", "mse", "mean", "ci95", "iqm", "iqm_ci95", "env_steps")
    values |= {f"evaluation {name}": evaluation[name] for name in named if name in evaluation}
    return values


def flat(value: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Tensors and numbers of nested dicts by their joined names."""
    if isinstance(value, dict):
        return [pair for k, v in value.items() for pair in flat(v, f"{prefix}{k}.")]
    if isinstance(value, torch.Tensor):
        return [(prefix.rstrip("."), value.tolist())]
    return [(prefix.rstrip("."), value)] if isinstance(value, int | float) else []


def digest(values: dict[str, Any]) -> dict[str, float]:
    """A few numbers of an outcome: norms of parameters, the last metrics, means of evaluations.

    Whole numbers are left out.
    """
    last = max(int(name.split()[1]) for name in values if name.startswith("metrics"))
    found: dict[str, float] = {}
    for name, value in values.items():
        kind, rest = name.split(" ", 1)
        if kind == "parameters" and "optimizer" not in name:
            found[name] = math.hypot(*numbers(value))
        elif kind == "metrics" and rest.startswith(f"{last} ") and value % 1:
            found[f"metrics {rest.split()[1]}"] = value
        elif name == "evaluation mean":
            found |= {f"{name} {k}": mean for k, mean in enumerate(value)}
    return {name: float(f"{number:.8g}") for name, number in found.items()}


def numbers(value: Any) -> list[float]:
    """Those of nested lists."""
    return [n for v in value for n in numbers(v)] if isinstance(value, list) else [float(value)]


def values_now(names: list[str]) -> dict[str, dict[str, float]]:
    """Digests of the problems as this version trains them."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if train(ROOT, folder, names).wait():
            raise RuntimeError((folder / "log.txt").read_text()[-3000:])
        return {name: digest(outcome(folder / name)) for name in names}


def processor() -> str:
    """The kind of this processor: maker and the instructions that torch uses."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    makers = [line.split()[-1] for line in lines if line.startswith("vendor_id")]
    maker = makers[0] if makers else platform.processor() or platform.machine()
    return f"{maker} {torch.backends.cpu.get_cpu_capability()}"


def write_values(names: list[str]) -> None:
    """Put the values of now into ``values.json``; other processors' of what changed go."""
    known = json.loads(VALUES.read_text())
    here = known.setdefault(processor(), {})
    now = values_now(names)
    changed = [name for name in now if not close(now[name], here.get(name, now[name]))]
    here |= now
    for kind, values in known.items():
        kept = {n: values[n] for n in PROBLEMS if n in values}
        known[kind] = {n: v for n, v in kept.items() if values is here or n not in changed}
    VALUES.write_text(json.dumps(known, indent=0) + "\n")


def close(found: dict[str, float], expected: dict[str, float]) -> bool:
    """Equal to 1e-5, NaN where NaN is expected."""
    return found.keys() == expected.keys() and all(
        math.isclose(found[key], value, rel_tol=1e-5, abs_tol=1e-6)
        or (math.isnan(value) and math.isnan(found[key]))
        for key, value in expected.items()
    )


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What is missing, added or not equal bit for bit."""
    return [
        f"{name}: {'missing' if name not in new else 'new' if name not in old else 'other values'}"
        for name in old | new
        if not (name in old and name in new and same(old[name], new[name]))
    ]


def same(one: Any, other: Any) -> bool:
    """Equality in which NaN equals NaN."""
    return json.dumps(one) == json.dumps(other)


def main() -> int:
    """Compare the working tree with an old commit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", nargs="?", help="commit to compare with")
    parser.add_argument("--write", action="store_true", help="write values.json instead")
    parser.add_argument("--only", nargs="*", default=list(PROBLEMS), help="names of problems")
    options = parser.parse_args()
    if options.write:
        write_values(options.only)
        return 0
    if options.old is None:
        parser.error("a commit to compare with, or --write, is missing")
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        checkout = folder / "checkout"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(checkout)], check=True)
        switch = ["git", "-C", str(checkout), "checkout", "--quiet", options.old]
        subprocess.run(switch, check=True)
        versions = {"old": checkout, "new": ROOT}
        for side in versions:
            (folder / side).mkdir()
        running = {s: train(v, folder / s, options.only) for s, v in versions.items()}
        for side, process in running.items():
            if process.wait():
                print((folder / side / "log.txt").read_text()[-3000:])
                print(f"the {side} version failed")
                return 1
        for name in options.only:
            found = differences(outcome(folder / "old" / name), outcome(folder / "new" / name))
            wrong += bool(found)
            print(f"{name}: {'equal' if not found else f'{len(found)} differ'}")
            for line in found[:10]:
                print(f"    {line}")
    print(f"{len(options.only) - wrong} of {len(options.only)} problems are equal bit for bit")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
