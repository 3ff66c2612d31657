"""Contacts and rows of constraints in an order that does not depend on which thread came first.

MuJoCo Warp hands out places in its buffers by atomic counters, in whatever order threads come to
them; on a GPU that is another order each time, sums of forces follow it, and float32 sums differ in
their last bits. Its own sorting (``Option.deterministic``) is empty in 4.0. Here a world's contacts
are put in order where they lie, by geoms and number within the pair, once they are found; its rows
by type, joint or contact once they are made. Both are callbacks of ``mujoco_warp.Model``.
"""

from typing import Any, no_type_check

import mujoco
import torch

from metarl_envs.mujoco.warp.installed import mujoco_warp as mjw
from metarl_envs.mujoco.warp.installed import wp

_FIRST_CONTACT = int(mujoco.mjtConstraint.mjCNSTR_CONTACT_FRICTIONLESS)
_PAIR = wp.constant(wp.int64(64))  # type: ignore[no-untyped-call]  # contacts of a pair of geoms
_TYPE = wp.constant(wp.int64(1 << 48))  # type: ignore[no-untyped-call]


@wp.func
@no_type_check  # it is Warp's own language
def _place(geoms: wp.vec2i, number: int, num_geoms: int) -> wp.int64:
    """What a contact is sorted by."""
    pair = wp.int64(geoms[0]) * wp.int64(num_geoms) + wp.int64(geoms[1])
    return pair * _PAIR + wp.int64(number)


@wp.kernel(enable_backward=False)
@no_type_check
def _list_contacts(
    nacon: wp.array[int],
    world: wp.array[int],
    count: wp.array[int],
    found: wp.array2d[int],
) -> None:
    i = wp.tid()
    if i >= wp.min(nacon[0], world.shape[0]):
        return
    k = wp.atomic_add(count, world[i], 1)
    if k < found.shape[1]:
        found[world[i], k] = i


@wp.kernel(enable_backward=False)
@no_type_check
def _order_contacts(
    count: wp.array[int],
    found: wp.array2d[int],
    num_geoms: int,
    geom: wp.array[wp.vec2i],
    number: wp.array[int],
    order: wp.array2d[int],
    source: wp.array2d[int],
) -> None:
    w = wp.tid()
    n = wp.min(count[w], found.shape[1])
    for i in range(n):  # places ascending; contacts by their keys
        place = found[w, i]
        k = i
        while k > 0 and found[w, k - 1] > place:
            found[w, k] = found[w, k - 1]
            k -= 1
        found[w, k] = place
    for i in range(n):
        contact = found[w, i]
        key = _place(geom[contact], number[contact], num_geoms)
        k = i
        while k > 0:
            before = order[w, k - 1]
            if _place(geom[before], number[before], num_geoms) <= key:
                break
            order[w, k] = before
            k -= 1
        order[w, k] = contact
    for i in range(n):
        source[0, found[w, i]] = order[w, i]


@wp.kernel(enable_backward=False)
@no_type_check
def _order_rows(
    nefc: wp.array[int],
    kind: wp.array2d[int],
    owner: wp.array2d[int],
    num_geoms: int,
    geom: wp.array[wp.vec2i],
    number: wp.array[int],
    keys: wp.array2d[wp.int64],
    source: wp.array2d[int],
) -> None:
    w = wp.tid()
    for i in range(
        wp.min(nefc[w], kind.shape[1])
    ):  # stable: rows of one owner lie side by side in order
        key = wp.int64(owner[w, i])
        if kind[w, i] >= _FIRST_CONTACT:
            key = _place(geom[owner[w, i]], number[owner[w, i]], num_geoms)
        key += wp.int64(kind[w, i]) * _TYPE
        k = i
        while k > 0 and keys[w, k - 1] > key:
            keys[w, k] = keys[w, k - 1]
            source[w, k] = source[w, k - 1]
            k -= 1
        keys[w, k] = key
        source[w, k] = i


@wp.kernel(enable_backward=False)
@no_type_check
def _gather(source: wp.array2d[int], given: wp.array3d[int], taken: wp.array3d[int]) -> None:
    w, i, j = wp.tid()
    if source[w, i] >= 0:
        taken[w, i, j] = given[w, source[w, i], j]


@wp.kernel(enable_backward=False)
@no_type_check
def _note_rows(
    nefc: wp.array[int],
    kind: wp.array2d[int],
    owner: wp.array2d[int],
    address: wp.array2d[int],
) -> None:
    w, i = wp.tid()
    if i >= wp.min(nefc[w], kind.shape[1]) or kind[w, i] < _FIRST_CONTACT:
        return
    first = i  # of the rows of this contact
    while first > 0 and owner[w, first - 1] == owner[w, i] and kind[w, first - 1] == kind[w, i]:
        first -= 1
    address[owner[w, i], i - first] = i


CONTACT_FIELDS = (
    *("dist", "pos", "frame", "includemargin", "friction", "solref", "solreffriction", "solimp"),
    *("dim", "geom", "type", "geomcollisionid", "adhesion"),
)
ROW_FIELDS = ("type", "id", "pos", "margin", "D", "vel", "aref", "frictionloss", "J", "Jqvel")


def set_order(model: mjw.Model, device: torch.device) -> None:
    """Have a model's contacts and rows put in order in every step.

    Sums by several threads at once remain, which Warp puts in order on CUDA if told to. Must be
    called before the first step, after the contacts' own callback is set.

    Raises:
        ValueError: for a model whose rows this does not know how to move.
    """
    if model.is_sparse or model.nflex or model.opt.cone != mjw.ConeType.PYRAMIDAL:
        raise ValueError(
            "ordered needs a model with a dense Jacobian (its option jacobian), pyramidal friction "
            "cones and nothing flexible"
        )

    align = model.callback.contactfilter

    def contacts(model: mjw.Model, data: mjw.Data) -> None:
        if align is not None:
            align(model, data)
        order_contacts(model, data)

    model.callback.contactfilter = contacts
    model.callback.control = order_rows  # the first after rows are made, before they are used
    if device.type == "cuda":
        model.opt.deterministic = mjw.DeterminismType.ATOMICS


def order_contacts(model: mjw.Model, data: mjw.Data) -> None:
    """Put the contacts of every world in order, in the places that they have."""
    contact, num = data.contact, data.nworld
    count, source = wp.zeros(num, dtype=int), wp.full((1, data.naconmax), -1, dtype=int)
    found, order = (wp.empty((num, data.njmax), dtype=int) for _ in range(2))
    wp.launch(
        _list_contacts,
        dim=data.naconmax,
        inputs=[data.nacon, contact.worldid],
        outputs=[count, found],
    )
    keys = [model.ngeom, contact.geom, contact.geomcollisionid]
    wp.launch(_order_contacts, dim=num, inputs=[count, found, *keys], outputs=[order, source])
    for name in CONTACT_FIELDS:
        _move(source, getattr(contact, name), (1, data.naconmax))


def order_rows(model: mjw.Model, data: mjw.Data) -> None:
    """Put the rows of constraints of every world in order."""
    rows, contact, shape = data.efc, data.contact, (data.nworld, data.njmax)
    scratch, source = wp.empty(shape, dtype=wp.int64), wp.full(shape, -1, dtype=int)
    keys = [model.ngeom, contact.geom, contact.geomcollisionid]
    wp.launch(
        _order_rows,
        dim=data.nworld,
        inputs=[data.nefc, rows.type, rows.id, *keys],
        outputs=[scratch, source],
    )
    for name in ROW_FIELDS:
        _move(source, getattr(rows, name), (data.nworld, getattr(rows, name).shape[1]))
    wp.launch(
        _note_rows,
        dim=shape,
        inputs=[data.nefc, rows.type, rows.id],
        outputs=[contact.efc_address],
    )


def _move(source: wp.array[Any], field: wp.array[Any], shape: tuple[int, int]) -> None:
    """``field[w, i] = field[w, source[w, i]]`` where there is a source; of whatever it consists."""
    size = field.size * wp.types.type_size_in_bytes(field.dtype) // (4 * shape[0] * shape[1])
    words: wp.array[Any] = wp.array(
        ptr=field.ptr, dtype=int, shape=(*shape, size), device=field.device
    )
    before = wp.empty_like(words)
    wp.copy(before, words)
    wp.launch(_gather, dim=(*source.shape, size), inputs=[source, before], outputs=[words])
