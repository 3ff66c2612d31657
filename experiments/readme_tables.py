"""The two tables of the README, of speed and of results: ``python experiments/readme_tables.py``.

They are rows of ``benchmarks/results.json`` and ``results.json``, which other scripts write.
"""

import json
from pathlib import Path

import results

FOLDER = Path(__file__).parent
README = FOLDER.parent / "README.md"
SPEEDS = (
    ("sampling 2-D navigation, 800 environments", "point-sampling", "SyncVectorEnv"),
    ("stepping half-cheetahs", "halfcheetah-step", "SyncVectorEnv"),
    ("stepping half-cheetahs", "halfcheetah-step", "EnvPool"),
    ("stepping half-cheetahs", "halfcheetah-step", "raw-mj_step"),
    ("sampling 40 tasks of half-cheetahs", "halfcheetah-sampling", "process-per-task"),
    ("training PPO on half-cheetahs", "sb3-ppo-training", "DummyVecEnv(64)"),
    ("ProMP's update", "promp-update", "task-loop"),
    ("MAML on sinusoids, a meta-gradient", "sinusoid-maml", "task-loop"),
    ("MAML on Omniglot, Conv4", "omniglot-conv4-maml", "task-loop"),
    ("ProtoNet, 60-way, Conv4", "protonet-60way", "plain"),
    ("the same Conv4 in any `nn.Module`", "omniglot-conv4-maml-lifted", "task-loop"),
)
"""What is measured, and its row: the name and the peer."""
PEERS = {
    "SyncVectorEnv": "gymnasium's `SyncVectorEnv`",
    "EnvPool": "EnvPool",
    "raw-mj_step": "`mj_step` alone, in C",
    "process-per-task": "a process a task, as ProMP's code",
    "DummyVecEnv(64)": "stable-baselines3's `DummyVecEnv`",
    "task-loop": "a loop over tasks in PyTorch",
    "plain": "plain PyTorch",
}
RESULTS = (
    ("return", "point-goal", "maml-trpo", "", "point_goal.py"),
    ("return", "half-cheetah-dir", "maml-trpo", "", "half_cheetah_dir.py"),
    ("return", "half-cheetah-vel", "maml-trpo", "", "maml_table.py --family half-cheetah-vel"),
    ("return", "point-goal-embedding", "proto-embedding", "", "embedding.py --family point-goal"),
    ("return", "point-goal-embedding", "rl2", "", "embedding.py --family point-goal"),
    ("accuracy", "omniglot-5w1s", "protonet", "inductive", "omniglot.py --data-root FOLDER"),
    ("accuracy", "omniglot-20w1s", "protonet", "inductive", "omniglot.py --data-root FOLDER"),
    ("accuracy", "omniglot-5w1s", "maml", "transductive", "omniglot.py --data-root FOLDER"),
    ("accuracy", "glyphs-5w1s", "protonet", "inductive", "glyphs.py"),
)
"""What the figure is, the row (experiment, learner, batch norm at test), and the script."""


def speed_table() -> str:
    """Rows of the benchmarks: how many times as fast, and the command that measures it."""
    records = json.loads((FOLDER / "benchmarks" / "results.json").read_text())
    known = {(record["name"], record["against"]): record for record in records}
    lines = ["| what | beside | times as fast [least, most] | command |", "|---|---|---|---|"]
    for what, name, against in SPEEDS:
        record = known[name, against]
        ratio = record["ratio"]
        figure = f"{ratio['median']:.1f} [{ratio['min']:.1f}, {ratio['max']:.1f}]"
        lines.append(f"| {what} | {PEERS[against]} | {figure} | `{record['command']}` |")
    return "\n".join(lines) + "\n"


def result_table() -> str:
    """Rows of the experiments beside what others have."""
    known = {(r["experiment"], r["learner"], r.get("norm", "")): r for r in results.read_rows()}
    lines = [
        "| experiment | learner | held-out tasks: after 0 / 1 / … steps | reference "
        "| same protocol | seeds | command |",
        "|---|---|---|---|---|---|---|",
    ]
    for unit, experiment, learner, norm, script in RESULTS:
        row = known[experiment, learner, norm]
        theirs = row["reference"]
        same = ("yes" if theirs["same_protocol"] else "no") if theirs["mean"] else ""
        cells = [experiment, f"`{learner}`", _figures(row["mean"], unit)]
        cells += [_figures(theirs["mean"], unit), same, str(len(row["seeds"]))]
        lines.append(f"| {' | '.join(cells)} | `python experiments/{script}` |")
    return "\n".join(lines) + "\n"


def _figures(means: list[float], unit: str) -> str:
    """Returns after each step; of an accuracy that after the last."""
    if unit == "return":
        return " / ".join(f"{mean:.1f}" for mean in means)
    return f"{100 * means[-1]:.1f} %" if means else ""


def filled(readme: str) -> str:
    """The README with the tables as the records have them."""
    with_speed = results.with_table(readme, "speed", speed_table())
    return results.with_table(with_speed, "results", result_table())


if __name__ == "__main__":
    README.write_text(filled(README.read_text()))
