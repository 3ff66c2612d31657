from .family import Array, Bools, MujocoFamily, Physics, Robot, Step, choose, square_norm
from .own import register
from .version import MINIMUM_VERSION

__all__ = [
    "MINIMUM_VERSION",
    "Array",
    "Bools",
    "MujocoFamily",
    "Physics",
    "Robot",
    "Step",
    "choose",
    "register",
    "square_norm",
]
