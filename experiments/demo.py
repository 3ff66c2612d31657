"""The demo: meta-train 2-D navigation for at most 100 s, then adapt to goals never seen."""

import sys
from pathlib import Path

from metarl.cli import main

OUTPUT = Path("runs/demo")
TRAINING = [
    "train", "maml-trpo", "--env", "metarl/PointGoal-v0", "--iterations", "150",
    "--time-limit", "100", "--output", str(OUTPUT),
]  # fmt: skip

if __name__ == "__main__":
    print("Meta-training a policy on 2-D navigation: goals change, rewards are all it sees.")
    status = main(TRAINING)  # ends with the adaptation table on held-out goals
    if status == 0:
        newest = max(OUTPUT.iterdir(), key=lambda folder: folder.stat().st_mtime)
        print("\nThe table above: return on held-out goals after 0, 1, 2 and 3 gradient steps.")
        print(f"Picture of the adaptation:  {newest / 'adaptation.png'}")
        print(f"Learning curves:            .venv/bin/tensorboard --logdir {OUTPUT}")
        print(
            "Adapt to a goal of yours:   .venv/bin/metarl adapt "
            f"{newest} --task '{{\"goal\": [0.3, -0.4]}}' --output runs/adapted"
        )
    sys.exit(status)
