"""A family's robots in MuJoCo Warp: their states as torch tensors, their steps as graphs."""

import copy
from collections.abc import Mapping
from typing import Any

import mujoco
import torch
from numpy.typing import NDArray
from torch import Tensor

from metarl_envs.arrays import Arrays
from metarl_envs.mujoco.family import MujocoFamily, Physics, Robot
from metarl_envs.mujoco.warp import fields
from metarl_envs.mujoco.warp.contacts import align_with_capsules
from metarl_envs.mujoco.warp.graph import Graph, on_warp
from metarl_envs.mujoco.warp.installed import mujoco_warp as mjw
from metarl_envs.mujoco.warp.installed import wp
from metarl_envs.mujoco.warp.ordered import set_order
from metarl_envs.mujoco.warp.sizes import Sizes

_MAX_STATE = 1e10  # mjMAXVAL: MuJoCo calls a state beyond it unstable
_CONTACT_FORCES = "cfrc_ext"


def model_for_warp(robot: Robot) -> mujoco.MjModel:
    """The robot's model with a solver that Warp has: Newton's where the file asks for PGS."""
    model = copy.copy(robot.model)
    if model.opt.solver == mujoco.mjtSolver.mjSOL_PGS:
        model.opt.solver = mujoco.mjtSolver.mjSOL_NEWTON
    return model


class WarpPhysics:
    """A batch of simulations on one device.

    Args:
        family: whose robot it is, and which derived fields are read.
        num_worlds: number of simulations.
        arrays: torch as array-api-compat has it, and where they are.
        sizes: of the buffers for contacts and constraints.
        ordered: sum up forces in an order of their own, see
            :mod:`metarl_envs.mujoco.warp.ordered`.
    """

    def __init__(
        self,
        family: MujocoFamily,
        num_worlds: int,
        arrays: Arrays,
        sizes: Sizes,
        *,
        ordered: bool = False,
    ) -> None:
        device = arrays.device
        self._frame_skip = family.robot.frame_skip
        self._current = family.stage != mujoco.mjtStage.mjSTAGE_NONE
        self._with_contacts = family.with_contacts
        self._contacts_of_now = family.contacts_of_now
        self._model = model = model_for_warp(family.robot)
        names = fields.fields_of_tasks(family)
        with wp.ScopedDevice(on_warp(device)):
            self.model = fields.put_model(model, names, num_worlds)
            self.model.opt.warn_overflow = 0  # nothing is printed; the bits are set all the same
            self.model.callback.contactfilter = align_with_capsules
            if ordered:
                set_order(self.model, device)
            self.data = mjw.make_data(model, num_worlds, nconmax=sizes.nconmax, njmax=sizes.njmax)
        self._fields = {name: fields.view(self.model, name) for name in names}
        derived = {name: self._view(name) for name in family.derived_fields}
        self.views = Physics(self._view("qpos"), self._view("qvel"), derived, arrays.xp)
        self.ctrl = self._view("ctrl")
        self.overflow = self._view("overflow")
        self._accelerations = self._view("qacc"), self._view("qacc_warmstart")
        self._qpos0: Tensor = wp.to_torch(self.model.qpos0)
        self._rows = torch.ones(num_worlds, dtype=torch.bool, device=device)
        self._record(device)
        self._rest = self._at_rest()

    def _view(self, name: str) -> Tensor:
        """A field of the data as a tensor on the same memory; matrices are rows, as in MuJoCo."""
        if not hasattr(self.data, name):
            raise ValueError(f"MuJoCo Warp does not keep {name}; the C engine does")
        view: Tensor = wp.to_torch(getattr(self.data, name))
        return view.flatten(2) if view.dim() > 3 else view

    def _record(self, device: torch.device) -> None:
        rows = wp.from_torch(self._rows)
        self._step = Graph(device, self._simulate)
        self._reset = Graph(device, lambda: mjw.reset_data(self.model, self.data, reset=rows))
        if self._fields:
            self._constants = Graph(device, lambda: mjw.set_const(self.model, self.data))
        stale = set() if self._contacts_of_now else {_CONTACT_FORCES}
        forward = self.views.derived.keys() - stale
        self._derived = {name: self.views.derived[name] for name in sorted(forward)}
        if forward:
            self._forward = Graph(device, self._compute)

    def _simulate(self) -> None:
        for _ in range(self._frame_skip):
            mjw.step(self.model, self.data)
        if self._current:
            mjw.forward(self.model, self.data)
        if self._with_contacts:
            mjw.rne_postconstraint(self.model, self.data)

    def _compute(self) -> None:
        """What is derived of the states that there are."""
        mjw.forward(self.model, self.data)
        if self._contacts_of_now:
            mjw.rne_postconstraint(self.model, self.data)

    def _at_rest(self) -> Mapping[str, Tensor]:
        """The derived fields of the pose ``qpos0``, ``[1, ...]`` each."""
        everywhere = torch.ones_like(self._rows)
        self.set_state(everywhere, self._qpos0, torch.zeros_like(self.views.qvel[:1]))
        return {name: view[:1].clone() for name, view in self.views.derived.items()}

    def step(self) -> None:
        """One environment step of all simulations, driven by ``ctrl``."""
        self._step.launch()

    def set_state(self, rows: Tensor, qpos: Tensor, qvel: Tensor) -> None:
        """Put some simulations at rest in a state, as gymnasium's ``reset`` does.

        Args:
            rows: which ones, bool ``[N]``.
            qpos: positions, ``[N, nq]`` or ``[1, nq]``; only those of the chosen rows are used.
            qvel: velocities, ``[N, nv]`` or ``[1, nv]``.
        """
        self._rows.copy_(rows)
        self._reset.launch()
        _write(self.views.qpos, rows, qpos)
        _write(self.views.qvel, rows, qvel)
        if self._derived:
            # the derived fields are a simulation step old in the others, and have to remain so
            kept = {name: view.clone() for name, view in self._derived.items()}
            self._forward.launch()
            for name, view in self._derived.items():
                _write(view, ~rows, kept[name])
        if self._with_contacts and not self._contacts_of_now:
            _clear(self.views.derived[_CONTACT_FORCES], rows)

    def set_fields(self, values: Mapping[str, NDArray[Any]]) -> None:
        """Give every simulation its body; all are to be put in a state afterwards.

        Args:
            values: of all model fields that the family's tasks set, ``[N, ...]`` each.

        Raises:
            ValueError: if a shape is another, or something fixed to the ground is moved.
        """
        fields.check_static(self._model, values)
        for name, view in self._fields.items():
            if values[name].shape != view.shape:
                raise ValueError(f"{name} must be {(*view.shape,)}, got {values[name].shape}")
            view.copy_(torch.as_tensor(values[name], dtype=view.dtype))
        if self._fields:
            self._constants.launch()

    def settle(self, diverged: Tensor) -> None:
        """Mark the simulations that have diverged and put them to rest in the pose ``qpos0``.

        Args:
            diverged: bool ``[N]``, written.
        """
        qpos, qvel = self.views.qpos, self.views.qvel
        calm = (qpos.abs() < _MAX_STATE).all(1) & (qvel.abs() < _MAX_STATE).all(1)
        torch.logical_not(calm, out=diverged)
        _write(qpos, diverged, self._qpos0)
        for cleared in (qvel, *self._accelerations, self.overflow):
            _clear(cleared, diverged)
        for name, view in self.views.derived.items():
            _write(view, diverged, self._rest[name])


def _write(view: Tensor, rows: Tensor, values: Tensor) -> None:
    """``view[rows] = values[rows]`` without a question to the device."""
    torch.where(_along(rows, view), values, view, out=view)


def _clear(view: Tensor, rows: Tensor) -> None:
    view.masked_fill_(_along(rows, view), 0)


def _along(rows: Tensor, view: Tensor) -> Tensor:
    return rows.view(-1, *[1] * (view.dim() - 1))
