"""What a room is made of, and how its surfaces are coloured."""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mtlrun.data._raycast import Camera, Shape, Vector

Pattern = Literal[
    "plain",
    "checker",
    "stripes",
    "bricks",
    "planks",
    "dots",
    "marble",
    "patches",
    "window",
    "panels",
]


@dataclass(frozen=True)
class Material:
    """How a surface looks.

    Attributes:
        colors: Two of them, linear RGB, that the pattern mixes.
        pattern: Of the mixture.
        size: Metres after which the pattern repeats.
        gloss: Strength of highlights, 0..1.
        glow: Light of its own, per unit of its colour.
    """

    colors: tuple[Vector, Vector]
    pattern: Pattern
    size: float
    gloss: float = 0.0
    glow: float = 0.0


@dataclass(frozen=True)
class Light:
    """A point that shines.

    Attributes:
        position: In the world.
        color: Linear RGB, at 1 m.
        casts: Whether things cast shadows in it.
    """

    position: Vector
    color: Vector
    casts: bool


@dataclass(frozen=True)
class Thing:
    """A shape of a class, made of a material; a table is several."""

    shape: Shape
    label: str
    material: Material

    @property
    def casts(self) -> bool:
        """Whether light does not pass; what glows hides no light."""
        return self.material.glow == 0


@dataclass(frozen=True)
class Room:
    """All that a picture is rendered from.

    Attributes:
        size: Width, height and length; the floor's middle is the world's origin.
        sides: Materials of walls, floor and ceiling.
        things: In the room.
        lights: One at least.
        ambient: Linear RGB of the light from everywhere.
        camera: Inside, outside of every thing.
    """

    size: Vector
    sides: tuple[Material, Material, Material]
    things: tuple[Thing, ...]
    lights: tuple[Light, ...]
    ambient: Vector
    camera: Camera

    @property
    def shape(self) -> Shape:
        """The room's own."""
        width, height, length = self.size
        return Shape("room", (0, height / 2, 0), (width / 2, height / 2, length / 2))


class Palette:
    """Colours and materials by chance.

    Args:
        rng: Of all draws.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * float(self._rng.random())

    def chance(self, probability: float) -> bool:
        return float(self._rng.random()) < probability

    def pick(self, options: Sequence[str]) -> str:
        return options[int(self.between(0, len(options) - 1e-9))]

    def color(self, hues: tuple[float, float], saturation: float, value: float) -> Vector:
        """Linear RGB around a saturation and a value."""
        return _linear(
            self.between(*hues) % 1.0,
            min(max(saturation + self.between(-0.2, 0.2), 0), 1),
            min(max(value + self.between(-0.2, 0.2), 0.06), 1),
        )

    def tinted(self, strength: float, tint: float) -> Vector:
        red, green, blue = (strength * (1 + self.between(-tint, tint)) for _ in range(3))
        return red, green, blue

    def wall(self) -> Material:
        pattern: Pattern = self.pick(("plain", "plain", "stripes", "bricks", "dots", "patches"))  # type: ignore[assignment]  # one of Pattern
        base = self.color((0, 1), 0.28, 0.75)
        brighter = self.between(0.45, 0.75)
        other = (base[0] * brighter, base[1] * brighter, base[2] * brighter)
        if pattern == "bricks":
            base, other = self.color((0.0, 0.08), 0.55, 0.55), self.color((0, 1), 0.1, 0.75)
        return Material((base, other), pattern, self.between(0.25, 0.6))

    def floor(self) -> Material:
        pattern = self.pick(("planks", "planks", "checker", "bricks", "marble", "patches"))
        if pattern == "planks":
            return self.wood(self.between(0.12, 0.22), gloss=self.between(0, 0.4))
        hues = (0.0, 1.0)
        colors = self.color(hues, 0.3, 0.6), self.color(hues, 0.3, 0.35)
        return Material(colors, pattern, self.between(0.3, 0.8), gloss=self.between(0, 0.5))  # type: ignore[arg-type]  # one of Pattern

    def ceiling(self) -> Material:
        pattern: Pattern = "panels" if self.chance(0.3) else "plain"
        bright, dim = self.color((0, 1), 0.08, 0.92), self.color((0, 1), 0.1, 0.7)
        return Material((bright, dim), pattern, self.between(0.5, 0.9))

    def wood(self, size: float, gloss: float = 0.15) -> Material:
        hues = (0.04, 0.11)
        colors = self.color(hues, 0.55, 0.62), self.color(hues, 0.6, 0.38)
        return Material(colors, "planks", size, gloss)

    def painted(self, options: Sequence[str], size: float, gloss: float) -> Material:
        colors = self.color((0, 1), 0.65, 0.7), self.color((0, 1), 0.55, 0.5)
        return Material(colors, self.pick(options), size, gloss)  # type: ignore[arg-type]  # one of Pattern


def _linear(hue: float, saturation: float, value: float) -> Vector:
    red, green, blue = (c**2 for c in colorsys.hsv_to_rgb(hue, saturation, value))
    return red, green, blue
