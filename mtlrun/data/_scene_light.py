"""Patterns on surfaces, and the light that they send to the camera."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mtlrun.data._raycast import Array, blocked
from mtlrun.data._scene_room import Material, Pattern, Room

LATTICE = 64  # points after which noise repeats
SHARPNESS = 12.0  # of a pattern's borders


class Noise:
    """Smooth noise on the plane: values at lattice points, interpolated.

    Args:
        values: [LATTICE * LATTICE] float32 in 0..1.
    """

    def __init__(self, values: Array) -> None:
        self._values = values

    def __call__(self, u: Array, v: Array) -> Array:
        """In 0..1, with features of size 1."""
        column, row = np.floor(u), np.floor(v)
        x, y = u - column, v - row
        x, y = x * x * (3 - 2 * x), y * y * (3 - 2 * y)
        left = column.astype(np.int32) & (LATTICE - 1)
        right = (left + 1) & (LATTICE - 1)
        lower = (row.astype(np.int32) & (LATTICE - 1)) * LATTICE
        upper = (lower + LATTICE) & (LATTICE * LATTICE - 1)
        values = self._values
        below, above = values[lower + left], values[upper + left]
        below = below + x * (values[lower + right] - below)
        above = above + x * (values[upper + right] - above)
        mixed: Array = below + y * (above - below)
        return mixed


def albedo(
    material: Material, places: Array, half: Sequence[float], blur: Array, noise: Noise
) -> Array:
    """Linear RGB [3, N] of a surface.

    Args:
        material: Its look.
        places: [3, N]: u and v in metres, face.
        half: Half the extents of the shape, for patterns that follow its border.
        blur: [N] metres of surface that one pixel sees; patterns finer than that fade.
        noise: Of patterns that need some.
    """
    u, v, face = places
    share = PATTERNS[material.pattern](u / material.size, v / material.size, face, noise)
    if material.pattern == "window":
        share = _frame(places, half)
    fade = 1 / (1 + (1.2 * blur / material.size) ** 2)
    share = 0.5 + (share - 0.5) * fade
    grain = 1 + 0.4 * (noise(u * 9 + 7 * face, v * 9) - 0.5) / (1 + (8 * blur) ** 2)
    first, second = material.colors
    return np.stack([(a + (b - a) * share) * grain for a, b in zip(first, second, strict=True)])


def shade(
    room: Room,
    *,
    casters: Sequence[int],
    points: Array,
    normals: Array,
    owner: Array,
    colors: Array,
    gloss: Array,
) -> Array:
    """Linear RGB [3, N] that the camera sees of surfaces with a colour.

    Args:
        room: Its lights, its size and what stands in it.
        casters: Numbers of the shapes that cast shadows: 0 is the room, 1 its first thing.
        points: [3, N] in the world.
        normals: [3, N] towards the camera.
        owner: [N] the number of each point's shape.
        colors: [3, N] linear RGB.
        gloss: [N] 0..1.
    """
    shapes = [room.shape, *(thing.shape for thing in room.things)]
    view = _unit(np.stack([room.camera.position[axis] - points[axis] for axis in range(3)]))
    seen = np.stack([np.full(points.shape[1:], level, np.float32) for level in room.ambient])
    seen *= _openness(room, points)
    seen *= 0.85 + 0.15 * normals[1]
    seen *= colors
    for light in room.lights:
        towards = np.stack([light.position[axis] - points[axis] for axis in range(3)])
        square = (towards * towards).sum(axis=0)
        towards *= 1 / np.sqrt(square)
        facing = np.maximum((towards * normals).sum(axis=0), 0)
        if light.casts:
            facing *= ~blocked(shapes, casters, points, owner, light.position)
        halfway = _unit(towards + view)
        highlight = np.maximum((halfway * normals).sum(axis=0), 0)
        for _ in range(5):  # to the power of 32
            highlight *= highlight
        highlight *= gloss * (facing > 0)
        falloff = 1 / (1 + square)
        for channel, strength in enumerate(light.color):
            seen[channel] += strength * falloff * (facing * colors[channel] + 0.6 * highlight)
    return seen


def _openness(room: Room, points: Array) -> Array:
    """[N] less light from everywhere reaches the room's corners and edges."""
    openness = np.ones(points.shape[1:], np.float32)
    width, height, length = room.size
    walls = (
        width / 2 - np.abs(points[0]),
        height / 2 - np.abs(points[1] - height / 2),
        length / 2 - np.abs(points[2]),
    )
    for distance in walls:
        openness *= 1 - 0.3 / (1 + (4 * distance) ** 2)
    return openness / 0.7  # every surface of the room itself is at distance 0 of one


def _unit(vectors: Array) -> Array:
    unit: Array = vectors / np.sqrt((vectors * vectors).sum(axis=0))
    return unit


def _step(values: Array) -> Array:
    """0 below 0, 1 above, steep between."""
    step: Array = np.clip(0.5 + SHARPNESS * values, 0, 1)
    return step


def _wave(values: Array) -> Array:
    """A triangle wave of period 1 in -0.25..0.25."""
    wave: Array = np.abs(values - np.floor(values) - 0.5) - 0.25
    return wave


def _plain(u: Array, v: Array, face: Array, noise: Noise) -> Array:
    return 0.3 * noise(u, v)


def _checker(u: Array, v: Array, face: Array, noise: Noise) -> Array:
    return _step(8 * _wave(u) * _wave(v))


def _stripes(u: Array, v: Array, face: Array, noise: Noise) -> Array:
    return _step(_wave(u))


def _bricks(u: Array, v: Array, face: Array, noise: Noise) -> Array:
    row = np.floor(2 * v)
    shifted = u + 0.5 * (row % 2)
    joint = np.minimum(0.25 - np.abs(_wave(shifted)), 0.5 * (0.25 - np.abs(_wave(2 * v))))
    tone = noise(np.floor(shifted) + 0.5, row + 0.5)
    share: Array = np.maximum(1 - _step(joint - 0.03), 0.45 * tone)
    return share


def _planks(u: Array, v: Array, face: Array, noise: Noise) -> Array:
    board = np.floor(v)
    tone = noise(np.floor(0.15 * u + 0.37 * board) + 0.5, board + 0.5)
    grain = noise(0.7 * u, 9 * v)
    gap = _step(0.04 - (v - board))
    return np.maximum(0.6 * tone + 0.4 * grain, gap)


def _dots(u: Array, v: Array, face: Array, noise: Noise) -> Array:
    x, y = u - np.floor(u) - 0.5, v - np.floor(v) - 0.5
    return _step(2 * (0.08 - x * x - y * y))


def _marble(u: Array, v: Array, face: Array, noise: Noise) -> Array:
    bent = u + 0.6 * v + 1.6 * noise(1.5 * u, 1.5 * v) + 0.8 * noise(4 * u, 4 * v)
    return np.clip(0.5 + 2 * _wave(bent), 0, 1)


def _patches(u: Array, v: Array, face: Array, noise: Noise) -> Array:
    return _step(0.4 * (0.65 * noise(2 * u, 2 * v) + 0.35 * noise(5 * u, 5 * v) - 0.5))


def _panels(u: Array, v: Array, face: Array, noise: Noise) -> Array:
    """Squares with a groove around each."""
    border = 0.25 - np.maximum(np.abs(_wave(u + 0.25)), np.abs(_wave(v + 0.25)))
    near: Array = np.exp(-((border * 14 - 0.6) ** 2))
    return near


def _frame(places: Array, half: Sequence[float]) -> Array:
    """1 on a window's frame and bars; its middle is at 0 of the coordinate along each edge."""
    u, v, face = places
    wide = np.where(face < 2, half[2], half[0])
    across, upright = np.abs(u) / wide, np.abs(v) / half[1]
    outer = np.maximum(across, upright)
    inner = np.minimum(np.abs(u), np.abs(v))
    return np.maximum(_step(outer - 0.88), _step(0.025 - inner))


PATTERNS: Mapping[Pattern, Callable[[Array, Array, Array, Noise], Array]] = {
    "plain": _plain,
    "checker": _checker,
    "stripes": _stripes,
    "bricks": _bricks,
    "planks": _planks,
    "dots": _dots,
    "marble": _marble,
    "patches": _patches,
    "panels": _panels,
    "window": _plain,
}
