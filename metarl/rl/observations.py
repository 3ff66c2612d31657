"""Observations of any space as policies see them: one vector, or one image.

What gymnasium's ``FlattenObservation`` does to one observation, an :class:`ObservationView` does to
one or to a batch, always in single precision; of images it moves channels to the end. Single and
vector environments are wrapped by gymnasium's ``TransformObservation``.
"""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorWrapper
from gymnasium.wrappers import TransformObservation
from gymnasium.wrappers import vector as vector_wrappers
from numpy.typing import NDArray

from metarl.nn.cnn import HIGHEST
from metarl.rl.task_envs import are_copies

Array = NDArray[np.float32]


class ObservationView:
    """From observations of a space to vectors, in the order of ``gymnasium.spaces.flatten``.

    Images, whose channels come first, become such as have them last.

    Args:
        given: the space; its parts are Box, Discrete (one-hot), MultiDiscrete, MultiBinary, Dict or
            Tuple.

    Raises:
        ValueError: for another space, or a part that is an image; the message says which wrapper
            helps.

    >>> parts = {"at": spaces.Box(-1, 1, (2,)), "on": spaces.Discrete(2)}
    >>> view = ObservationView(spaces.Dict(parts))
    >>> view({"at": [0.5, -0.5], "on": 1}).tolist()
    [0.5, -0.5, 0.0, 1.0]
    >>> view({"at": np.zeros((7, 2)), "on": np.ones(7, int)}).shape
    (7, 4)
    """

    def __init__(self, given: spaces.Space[Any]) -> None:
        self.given = given
        self.is_image = isinstance(given, spaces.Box) and len(given.shape) == 3
        if self.is_image:
            check_image(given)
        else:
            _check(given)
        self.space = _seen_space(given)

    def __call__(self, observations: Any) -> NDArray[Any]:
        """Observations, of a batch with leading axes in every part, to ``[..., D]``.

        Images to ``[..., H, W, C]``, of the same type.
        """
        if self.is_image:
            return np.ascontiguousarray(np.moveaxis(np.asarray(observations), -3, -1))
        return _flat(self.given, observations)

    def is_seen(self, observations: Any) -> bool:
        """Whether observations are of this view already."""
        if not isinstance(observations, np.ndarray):
            return False
        axes = len(self.space.shape)
        same_kind = self.is_image or observations.dtype.kind == "f"
        return bool(same_kind and observations.shape[-axes:] == self.space.shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObservationView) and other.given == self.given

    def __hash__(self) -> int:
        return hash(str(self.given))


def view_of(space: spaces.Space[Any]) -> ObservationView | None:
    """How policies see observations; None where they see them as they are: vectors and images.

    Raises:
        ValueError: for a space that has no such view; the message says which wrapper helps.
    """
    axes = len(space.shape) if isinstance(space, spaces.Box) else 0
    image_as_it_is = axes == 3 and not channels_first(space.shape or ())
    return None if axes == 1 or image_as_it_is else ObservationView(space)


def image_shape_of(space: spaces.Space[Any]) -> tuple[int, int, int] | None:
    """Height, width and channels of what policies see, where that is an image."""
    if space.shape is None or len(space.shape) != 3:
        return None
    check_image(space)
    height, width, channels = space.shape
    return height, width, channels


def channels_first(shape: tuple[int, ...]) -> bool:
    """Whether an image has its channels, the fewest of three numbers, in front and not at the end.

    >>> channels_first((3, 64, 64)), channels_first((64, 64, 3)), channels_first((5, 5, 5))
    (True, False, False)
    """
    return shape[-1] > min(shape[:2]) and shape[0] <= min(shape[1:])


def check_image(space: spaces.Space[Any]) -> None:
    """Raise a :class:`ValueError`, with the wrapper that helps, for three axes of no image."""
    assert isinstance(space, spaces.Box)
    shape = space.shape
    if not channels_first(shape) and shape[-1] > min(shape[:2]):
        raise ValueError(
            f"the observation is {space}, of which neither the first nor the last axis can be "
            "channels: gymnasium.wrappers.FlattenObservation makes a vector of it"
        )
    if space.dtype != np.uint8 and not (space.low.min() >= 0 and space.high.max() <= HIGHEST):
        raise ValueError(
            f"the observation is {space}, but pixels are uint8 or within [0, 1] or [0, 255]: "
            "gymnasium.wrappers.RescaleObservation brings them there, FlattenObservation makes a "
            "vector of what are none"
        )


def highest_pixel(space: spaces.Space[Any]) -> float:
    """What white is, of an image: 1 or 255."""
    assert isinstance(space, spaces.Box)
    return 1.0 if space.dtype.kind == "f" and space.high.max() <= 1.0 else HIGHEST


def as_array(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    """An environment whose observations are such as policies see."""
    view = view_of(env.observation_space)
    return env if view is None else TransformObservation(env, view, view.space)


def as_arrays(envs: Any) -> Any:
    """The same of a vector environment."""
    view = view_of(envs.single_observation_space)
    if view is None:
        return envs
    return vector_wrappers.TransformObservation(envs, view, single_observation_space=view.space)


def given_space(envs: Any) -> spaces.Space[Any] | None:
    """The observation space of the environments themselves, where policies see another.

    Args:
        envs: a vector environment; single environments in it have a ``given_observation_space``.
    """
    while isinstance(envs, VectorWrapper):
        view = getattr(envs, "func", None) if isinstance(envs, _VIEWED) else None
        if isinstance(view, ObservationView):
            return view.given
        envs = envs.env
    if not are_copies(envs):
        return None
    space: spaces.Space[Any] | None = envs.get_attr("given_observation_space")[0]
    return space


_VIEWED = vector_wrappers.TransformObservation


def one_hots(choices: NDArray[Any], sizes: NDArray[np.int64]) -> Array:
    """Indices ``[..., G]`` of choices of ``sizes`` ``[G]``, side by side as one-hots ``[..., A]``.

    >>> one_hots(np.array([[1, 0]]), np.array([2, 3])).tolist()
    [[0.0, 1.0, 1.0, 0.0, 0.0]]
    """
    vectors = np.zeros((*choices.shape[:-1], int(sizes.sum())), np.float32)
    np.put_along_axis(vectors, choices + np.cumsum(sizes) - sizes, 1.0, -1)
    return vectors


def described(space: spaces.Space[Any]) -> str:
    """A space in a few words, for a line about it."""
    if isinstance(space, spaces.Dict):
        return f"a Dict of {', '.join(space.spaces)}"
    return f"a {space}"


def _seen_space(given: spaces.Space[Any]) -> spaces.Box:
    if isinstance(given, spaces.Box) and len(given.shape) == 3:
        low, high = (np.moveaxis(bound, 0, -1) for bound in (given.low, given.high))
        dtype: Any = given.dtype
        return spaces.Box(low, high, dtype=dtype)
    flat = spaces.flatten_space(given)
    assert isinstance(flat, spaces.Box)
    with np.errstate(over="ignore"):  # a bound beyond single precision is none
        low, high = flat.low.astype(np.float32), flat.high.astype(np.float32)
    return spaces.Box(low, high, dtype=np.float32)


def _flat(space: spaces.Space[Any], values: Any) -> Array:
    if isinstance(space, spaces.Dict):
        parts = [_flat(part, values[name]) for name, part in space.items()]
        return np.concatenate(parts, -1)
    if isinstance(space, spaces.Tuple):
        parts = [_flat(part, value) for part, value in zip(space, values, strict=True)]
        return np.concatenate(parts, -1)
    array = np.asarray(values)
    leading = array.shape[: array.ndim - len(space.shape or ())]
    rows = array.reshape(*leading, -1)
    if isinstance(space, spaces.Discrete):
        return _checked_one_hots(space, rows - space.start, np.array([space.n]))
    if isinstance(space, spaces.MultiDiscrete):
        return _checked_one_hots(space, rows - space.start.ravel(), space.nvec.ravel())
    return rows.astype(np.float32)


def _checked_one_hots(
    space: spaces.Space[Any], choices: NDArray[Any], sizes: NDArray[np.int64]
) -> Array:
    if ((choices < 0) | (choices >= sizes)).any():
        raise ValueError(f"the observation is outside {space}")
    return one_hots(choices, sizes)


def _check(space: spaces.Space[Any], within: str = "") -> None:
    """Raise a :class:`ValueError`, with the wrapper that helps, for what is no vector."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        parts = space.items() if isinstance(space, spaces.Dict) else enumerate(space)
        for name, part in parts:
            _check(part, f"{within}part {name} of ")
        return
    what = f"{within}the observation is {space}, "
    if isinstance(space, spaces.Box):
        pixels = space.dtype == np.uint8 and len(space.shape) > 1
        if pixels and len(space.shape) == 2:
            shape = (*space.shape, 1)
            raise ValueError(
                f"{what}an image without an axis of channels: gymnasium.wrappers."
                f"ReshapeObservation(env, {shape}) adds it"
            )
        if len(space.shape) > 3:
            raise ValueError(
                f"{what}of {len(space.shape)} axes: gymnasium.wrappers.TransformObservation can "
                "move frames into the channels of one image, ReshapeObservation into one axis"
            )
        if pixels:
            raise ValueError(
                f"{what}an image beside other numbers: gymnasium.wrappers.FilterObservation keeps "
                "either"
            )
    elif not isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
        raise ValueError(
            f"{what}which is no fixed number of numbers: gymnasium.wrappers.TransformObservation "
            "can make a Box of it"
        )
