"""Rays against boxes, spheres and cylinders: what every pixel sees.

World: x and z on the floor, y up, in metres. A ray is origin + depth * direction, where the
direction goes 1 m along the optical axis, so that the parameter is the depth itself.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Vector = tuple[float, float, float]
ShapeKind = Literal["room", "box", "sphere", "cylinder"]

FIELD_OF_VIEW = 60.0  # vertical, in degrees
NEAR = 0.02
TINY = 1e-20  # added to what may be 0 and is divided by; lost in any other number
CORNERS = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])


@dataclass(frozen=True)
class Shape:
    """A solid, or the room around all of them.

    Attributes:
        kind: A `room` is a box seen from inside.
        center: In the world.
        half: Half its extents; of a sphere three times its radius, of a cylinder (radius, half
            height, radius).
        yaw: Turn about the vertical, in radians.
    """

    kind: ShapeKind
    center: Vector
    half: Vector
    yaw: float = 0.0


@dataclass(frozen=True)
class Camera:
    """Where it stands, and its axes in the world: right, up, and back (against the view)."""

    position: Vector
    right: Vector
    up: Vector
    back: Vector

    @classmethod
    def looking_at(cls, position: Vector, target: Vector, roll: float) -> "Camera":
        """A camera that has a point in the middle of its picture.

        Args:
            position: Of the camera.
            target: The point, not above or below it.
            roll: Turn about the optical axis, in radians.
        """
        back = np.subtract(position, target)
        back = back / np.linalg.norm(back)
        level = np.cross([0.0, 1.0, 0.0], back)
        level = level / np.linalg.norm(level)
        upright = np.cross(back, level)
        right = math.cos(roll) * level + math.sin(roll) * upright
        up = math.cos(roll) * upright - math.sin(roll) * level
        return cls(position, _vector(right), _vector(up), _vector(back))


def focal_length(height: int) -> float:
    """In pixels; pixels are square and the optical axis goes through the picture's middle."""
    return height / 2 / math.tan(math.radians(FIELD_OF_VIEW) / 2)


@lru_cache(maxsize=8)
def pixel_rays(height: int, width: int) -> tuple[Array, Array]:
    """To the right and upwards, [H, W] each, at 1 m along the optical axis, of pixels' centres."""
    focal = focal_length(height)
    right = (np.arange(width) + 0.5 - width / 2) / focal
    up = (height / 2 - 0.5 - np.arange(height)) / focal
    right, up = np.meshgrid(right.astype(np.float32), up.astype(np.float32))
    return np.ascontiguousarray(right), np.ascontiguousarray(up)


def directions(camera: Camera, height: int, width: int) -> Array:
    """[3, H, W] float32, in the world."""
    right, up = pixel_rays(height, width)
    rays = np.empty((3, height, width), np.float32)
    for axis in range(3):
        np.multiply(right, camera.right[axis], out=rays[axis])
        rays[axis] += up * camera.up[axis]
        rays[axis] -= camera.back[axis]
    return rays


def nearest(shapes: Sequence[Shape], camera: Camera, rays: Array) -> tuple[Array, Array]:
    """The first hit of every ray.

    Args:
        shapes: The first one is the room, which contains the camera; no other one does.
        camera: The rays' origin.
        rays: [3, H, W].

    Returns:
        depth: [H, W] float32, above 0.
        index: [H, W] int16, of the shape.
    """
    _, height, width = rays.shape
    depth = interval(shapes[0], camera.position, rays)[1]
    index = np.zeros((height, width), np.int16)
    windows = _windows(shapes[1:], camera, height, width)
    for number, (shape, window) in enumerate(zip(shapes[1:], windows, strict=True), start=1):
        near, far = interval(shape, camera.position, rays[:, *window])
        closest = depth[window]
        hit = (near < far) & (near > NEAR) & (near < closest)
        np.copyto(closest, near, where=hit)
        np.copyto(index[window], number, where=hit)
    return depth, index


def blocked(
    shapes: Sequence[Shape], casters: Sequence[int], points: Array, owner: Array, light: Vector
) -> Array:
    """Which points [3, N] do not see a light because of a shape other than their owner [N]."""
    rays = np.stack([light[axis] - points[axis] for axis in range(3)])
    dark = np.zeros(points.shape[1:], bool)
    for number in casters:
        near, far = interval(shapes[number], points, rays)
        dark |= (near < far) & (far > 0) & (near < 1) & (owner != number)
    return dark


def interval(shape: Shape, origin: Vector | Array, rays: Array) -> tuple[Array, Array]:
    """Where rays enter and leave a shape; those that miss it leave before they enter."""
    ox, oy, oz = (origin[axis] - shape.center[axis] for axis in range(3))
    dx, dy, dz = rays
    if shape.yaw:
        ox, oz = turned(ox, oz, shape.yaw)
        dx, dz = turned(dx, dz, shape.yaw)
    hx, hy, hz = shape.half
    if shape.kind == "sphere":
        return _roots(
            dx * dx + dy * dy + dz * dz,
            dx * ox + dy * oy + dz * oz,
            ox * ox + oy * oy + oz * oz - hx * hx,
        )
    enter, leave = _slab(oy, dy, hy)
    if shape.kind == "cylinder":
        sides = [_roots(dx * dx + dz * dz, dx * ox + dz * oz, ox * ox + oz * oz - hx * hx)]
    else:
        sides = [_slab(ox, dx, hx), _slab(oz, dz, hz)]
    for near, far in sides:
        np.maximum(enter, near, out=enter)
        np.minimum(leave, far, out=leave)
    return enter, leave


def surface(shape: Shape, points: Array) -> tuple[Array, Array]:
    """Normals and texture coordinates of points on a shape's surface.

    Args:
        shape: Whose surface it is.
        points: [3, N] in the world.

    Returns:
        normals: [3, N] unit vectors in the world, outwards (into the room, of the room).
        places: [3, N]: u and v in metres along the surface, and the number of the face: 0 and 1
            for those across x, 2 and 3 across y, 4 and 5 across z, 6 where it is round.
    """
    x, y, z = (points[axis] - shape.center[axis] for axis in range(3))
    if shape.yaw:
        x, z = turned(x, z, shape.yaw)
    hx, hy, hz = shape.half
    normals = np.zeros_like(points)
    if shape.kind == "sphere":
        normals[0], normals[1], normals[2] = x, y, z
        normals /= np.sqrt((normals * normals).sum(axis=0))
        places = np.stack(
            [np.arctan2(z, x) * hx, np.arcsin(np.clip(normals[1], -1, 1)) * hx, np.full_like(x, 6)]
        )
    elif shape.kind == "cylinder":
        radius = np.sqrt(x * x + z * z)
        cap = np.abs(y) - hy > radius - hx
        normals[0] = np.where(cap, 0, x / radius)
        normals[1] = np.where(cap, np.sign(y), 0)
        normals[2] = np.where(cap, 0, z / radius)
        places = np.stack(
            [
                np.where(cap, x, np.arctan2(z, x) * hx),
                np.where(cap, z, y),
                np.where(cap, 2 + (y > 0), 6),
            ]
        )
    else:
        face = np.argmax(np.stack([np.abs(x) - hx, np.abs(y) - hy, np.abs(z) - hz]), axis=0)
        across = np.choose(face, (x, y, z))
        inwards = -1 if shape.kind == "room" else 1
        np.put_along_axis(normals, face[None], inwards * np.sign(across)[None], axis=0)
        places = np.stack(
            [np.where(face == 0, z, x), np.where(face == 1, z, y), 2 * face + (across > 0)]
        )
    if shape.yaw:
        normals[0], normals[2] = turned(normals[0], normals[2], -shape.yaw)
    return normals, places.astype(np.float32, copy=False)


def turned(x: Any, z: Any, yaw: float) -> tuple[Any, Any]:
    """World coordinates in the frame of a shape that is turned about the vertical."""
    cosine, sine = math.cos(yaw), math.sin(yaw)
    return cosine * x - sine * z, sine * x + cosine * z


def _slab(origin: Any, direction: Array, half: float) -> tuple[Array, Array]:
    inverse = 1 / (direction + TINY)
    middle = -origin * inverse
    reach = np.abs(inverse) * half
    return middle - reach, middle + reach


def _roots(a: Array, b: Array, c: Any) -> tuple[Array, Array]:
    """Of a t^2 + 2 b t + c; the second is below the first where there is none."""
    a = a + TINY
    discriminant = b * b - a * c
    missed = discriminant < 0
    root = np.sqrt(np.maximum(discriminant, 0))
    inverse = 1 / a
    near, far = (-b - root) * inverse, (root - b) * inverse
    far[missed] = -np.inf
    return near, far


def _windows(
    shapes: Sequence[Shape], camera: Camera, height: int, width: int
) -> list[tuple[slice, slice]]:
    """Rows and columns of the picture outside of which each shape is not seen."""
    if not shapes:
        return []
    arms = np.array([shape.half for shape in shapes])[:, None] * CORNERS  # [K, 8, 3]
    yaw = np.array([[shape.yaw] for shape in shapes])
    cosine, sine = np.cos(yaw), np.sin(yaw)
    x, z = cosine * arms[..., 0] + sine * arms[..., 2], cosine * arms[..., 2] - sine * arms[..., 0]
    corners = np.stack([x, arms[..., 1], z], axis=-1)
    corners += np.array([np.subtract(shape.center, camera.position) for shape in shapes])[:, None]
    right, up, back = (
        (corners * np.array(axis)).sum(axis=-1) for axis in (camera.right, camera.up, camera.back)
    )
    scale = focal_length(height) / np.minimum(back, -NEAR)
    bounded = back.max(axis=1) < -NEAR  # else a corner is beside or behind the camera
    rows = _slices(height / 2 + scale * up, height, bounded)
    columns = _slices(width / 2 - scale * right, width, bounded)
    return list(zip(rows, columns, strict=True))


def _slices(places: Array, size: int, bounded: Array) -> list[slice]:
    first = np.where(bounded, np.floor(places.min(axis=1)), 0).clip(0, size).astype(int)
    last = np.where(bounded, np.ceil(places.max(axis=1)), size).clip(first, size).astype(int)
    return [slice(a, b) for a, b in zip(first.tolist(), last.tolist(), strict=True)]


def _vector(values: Array) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z
