"""Pictures of rooms with what is known about them."""

from dataclasses import dataclass

import numpy as np

from mtlrun.data._raycast import Array, directions, focal_length, nearest, surface
from mtlrun.data._scene_layout import CLASSES, furnish
from mtlrun.data._scene_light import LATTICE, Noise, albedo, shade
from mtlrun.data._scene_room import Material, Room

SLIM = 0.05  # metres: what is thinner casts no shadow


@dataclass(frozen=True)
class Picture:
    """A picture and what is known from geometry.

    Attributes:
        image: [3, H, W] uint8.
        segmentation: [H, W] uint8, places in `CLASSES`.
        depth: [H, W] float32, metres along the optical axis.
        normals: [3, H, W] float32 unit vectors: to the right, upwards, towards the viewer.
    """

    image: Array
    segmentation: Array
    depth: Array
    normals: Array


def render(seed: int, height: int, width: int) -> Picture:
    """The picture of a seed: a room, and a camera in it."""
    rng = np.random.Generator(np.random.PCG64(seed))
    noise = Noise(rng.random(LATTICE * LATTICE, dtype=np.float32))
    with np.errstate(invalid="ignore"):  # the normal of a cylinder's axis, which is not used
        return _render(furnish(rng), noise, height, width)


def _render(room: Room, noise: Noise, height: int, width: int) -> Picture:
    shapes = [room.shape, *(thing.shape for thing in room.things)]
    rays = directions(room.camera, height, width)
    depth, index = nearest(shapes, room.camera, rays)
    owner = index.reshape(-1)
    rays = rays.reshape(3, -1)
    points = rays * depth.reshape(-1)
    for axis in range(3):
        points[axis] += room.camera.position[axis]
    normals, colors = np.empty_like(points), np.empty_like(points)
    gloss, glow = np.zeros_like(points[0]), np.zeros_like(points[0])
    labels = np.empty(owner.shape, np.uint8)
    footprint = depth.reshape(-1) / focal_length(height)
    for number in np.unique(owner):
        pixels = np.flatnonzero(owner == number)
        normal, places = surface(shapes[number], points[:, pixels])
        normals[:, pixels] = normal
        slant = np.abs((normal * rays[:, pixels]).sum(axis=0))
        blur = footprint[pixels] / np.maximum(slant, 0.1)
        for part, material, label in _parts(room, int(number), places):
            chosen = pixels[part]
            half = shapes[number].half
            colors[:, chosen] = albedo(material, places[:, part], half, blur[part], noise)
            gloss[chosen], glow[chosen] = material.gloss, material.glow
            labels[chosen] = CLASSES.index(label)
    casters = [
        n for n, thing in enumerate(room.things, 1) if thing.casts and min(thing.shape.half) > SLIM
    ]
    seen = shade(
        room,
        casters=casters,
        points=points,
        normals=normals,
        owner=owner,
        colors=colors,
        gloss=gloss,
    )
    seen += glow * colors
    image = np.sqrt(np.clip(seen, 0, 1, out=seen)) * 255 + 0.5
    axes = room.camera.right, room.camera.up, room.camera.back
    turned = np.stack([sum(n * a for n, a in zip(normals, axis, strict=True)) for axis in axes])
    shape = (height, width)
    return Picture(
        image.astype(np.uint8).reshape(3, *shape),
        labels.reshape(shape),
        depth,
        turned.reshape(3, *shape),
    )


def _parts(room: Room, number: int, places: Array) -> list[tuple[Array, Material, str]]:
    """Which of a shape's pixels are of which material and class."""
    if number:
        thing = room.things[number - 1]
        return [(np.arange(places.shape[1]), thing.material, thing.label)]
    face = places[2]
    kinds = (face != 2) & (face != 3), face == 2, face == 3
    names = ("wall", "floor", "ceiling")
    return [
        (np.flatnonzero(kind), material, name)
        for kind, material, name in zip(kinds, room.sides, names, strict=True)
    ]
