"""HalfCheetahVel: run at a velocity that only the rewards of a few trajectories tell.

    python experiments/half_cheetah_vel.py [--output runs/maml_table] [--iterations 625]

The row of ``maml_table.py`` with velocities from U(0, 2), as in the MAML paper; 625 iterations are
100 million steps. Evaluated on held-out velocities.
"""

import tyro
from maml_table import Table, experiment

if __name__ == "__main__":
    experiment(tyro.cli(Table, default=Table(family="half-cheetah-vel", iterations=625)))
