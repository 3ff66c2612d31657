"""How large Warp's buffers for contacts and constraints are: by measurement, model by model."""

from typing import NamedTuple

from metarl_envs.mujoco.family import Robot


class Sizes(NamedTuple):
    """Of the buffers; too small ones lose forces, which ``WarpEnv.check`` makes an error."""

    nconmax: int
    """Contacts, and pairs of geoms that are near: a world's mean, the buffer is shared."""
    njmax: int
    """Rows of constraints in any one world."""


MEASURED = {
    "half_cheetah.xml": Sizes(8, 48),
    "ant.xml": Sizes(8, 64),
    "hopper.xml": Sizes(8, 48),
    "walker2d.xml": Sizes(8, 64),
    "humanoid.xml": Sizes(24, 96),
}
"""Demand under random torques and in falls from any pose, bodies and gravity random, and half more.

``njmax`` are multiples of the 16 rows that Warp's solver takes at once.
"""
DEFAULT = Sizes(48, 96)
FEW, CONTACTS_OF_FEW = 64, 64
"""So few worlds may all lie on the ground at once: the buffer has room for that."""


def choose_sizes(robot: Robot, num_worlds: int, nconmax: int | None, njmax: int | None) -> Sizes:
    """The sizes given, else those measured for the robot's model.

    Raises:
        ValueError: for sizes below 1.
    """
    for name, given in (("nconmax", nconmax), ("njmax", njmax)):
        if given is not None and given < 1:
            raise ValueError(f"{name} must be at least 1, got {given}")
    measured = MEASURED.get(robot.xml_file, DEFAULT)
    shared = CONTACTS_OF_FEW if num_worlds <= FEW else measured.nconmax
    return Sizes(shared if nconmax is None else nconmax, measured.njmax if njmax is None else njmax)
