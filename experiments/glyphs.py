"""Every few-shot learner on the built-in glyphs, three seeds, beside neighbours of raw pixels.

    python experiments/glyphs.py [--only NAME ...] [--seeds 0 1 2] [--settings 5w1s]

Printed letters, 600 test episodes, train scripts Latin, Cyrillic and Greek, test scripts Georgian,
Armenian and Lao. All have the same network, MAML's strided one for Omniglot with 32 filters, and
see as many train images, support and query together, in as many iterations as that takes. Options
are a learner's defaults but for the size of its train episodes, and larger step sizes of those that
adapt by gradients: the inner one is that of the MAML authors for this network, the outer one is for
so few iterations.
"""

import tyro
from fewshot_rows import Budget, Plan, Table, make_table

METRIC = Plan(["--train-ways", "40", "--train-queries", "5"], ("5w1s", "5w5s"))
SETTINGS = {"5w1s": (5, 1), "5w5s": (5, 5), "20w1s": (20, 1)}
STARTED = Plan(["--train-queries", "5", "--lr", "0.003"], tuple(SETTINGS))
GRADIENT = Plan([*STARTED.options, "--inner-lr", "2.0"], tuple(SETTINGS))
TABLE = Table(
    name="glyphs",
    data=["--data", "glyphs"],
    network=["--filters", "32", "--downsample", "stride"],
    backbone="conv4, 32 filters, strided",
    images=432_000,
    settings=SETTINGS,
    plans={
        "protonet": METRIC,
        "matching": METRIC,
        "r2d2": METRIC,
        "maml": GRADIENT,
        "fomaml": GRADIENT,
        "anil": GRADIENT,
        "maml++": GRADIENT,
        "meta-sgd": GRADIENT,
        "proto-maml": STARTED,
        "reptile": Plan(
            ["--train-shots", "10", "--train-queries", "5", "--inner-batch-size", "20"]
        ),
        "baseline": Plan([]),
        "baseline++": Plan([]),
        "knn": Plan([]),
    },
    test=["--tasks", "600"],
)


if __name__ == "__main__":
    make_table(TABLE, tyro.cli(Budget))
