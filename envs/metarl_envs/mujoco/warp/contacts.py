"""Contact frames as MuJoCo's C engine makes them."""

from typing import no_type_check

from metarl_envs.mujoco.warp.installed import mujoco_warp as mjw
from metarl_envs.mujoco.warp.installed import wp

_PLANE = int(mjw.GeomType.PLANE)
_CAPSULE = int(mjw.GeomType.CAPSULE)


@wp.kernel(enable_backward=False)
@no_type_check  # it is Warp's own language
def _along_capsules(
    num_contacts: wp.array[int],
    geoms: wp.array[wp.vec2i],
    world: wp.array[int],
    geom_type: wp.array[int],
    geom_xmat: wp.array2d[wp.mat33],
    frame: wp.array[wp.mat33],
) -> None:
    i = wp.tid()
    if i >= num_contacts[0]:
        return
    plane, capsule = geoms[i][0], geoms[i][1]
    if geom_type[plane] != _PLANE or geom_type[capsule] != _CAPSULE:
        return
    normal = frame[i][0]
    pose = geom_xmat[world[i], capsule]
    axis = wp.vec3(pose[0, 2], pose[1, 2], pose[2, 2])
    along = axis - normal * wp.dot(normal, axis)
    size = wp.length(along)
    tangent = wp.where(size > 1.0e-15, along / size, wp.vec3(1.0, 0.0, 0.0))
    other = wp.cross(normal, tangent)
    frame[i] = wp.matrix_from_rows(normal, tangent, other)


def align_with_capsules(model: mjw.Model, data: mjw.Data) -> None:
    """Turn the friction directions between planes and capsules along the capsule, as in C.

    Warp takes others where a capsule is steeper than 60 degrees, since it measures the axis before
    normalising its part in the plane (google-deepmind/mujoco#2774). In a pyramidal friction cone
    directions matter: without this an ant is off by a centimetre after one step.
    """
    contact = data.contact
    wp.launch(
        _along_capsules,
        dim=data.naconmax,
        inputs=[data.nacon, contact.geom, contact.worldid, model.geom_type, data.geom_xmat],
        outputs=[contact.frame],
        device=data.nacon.device,
    )
