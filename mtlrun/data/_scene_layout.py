"""Rooms by chance: their furniture, lights and cameras."""

import math

import numpy as np

from mtlrun.data._raycast import Camera, Shape, Vector
from mtlrun.data._scene_room import Light, Material, Palette, Room, Thing

CLASSES = (
    "wall", "floor", "ceiling", "window", "door", "picture", "rug", "cabinet", "table", "crate",
    "ball", "column", "bin", "lamp",
)  # fmt: skip
STANDING: tuple[tuple[str, float], ...] = (
    ("cabinet", 0.22), ("table", 0.22), ("crate", 0.18), ("ball", 0.16), ("column", 0.07),
    ("bin", 0.15),
)  # fmt: skip
THIN = 0.04  # how far windows, doors and pictures stand out of their wall


def furnish(rng: np.random.Generator) -> Room:
    """A room by chance; the same for the same state of the generator."""
    return _Decorator(rng).room()


class _Decorator(Palette):
    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__(rng)
        self.size = (self.between(3.4, 7), self.between(2.3, 3.2), self.between(3.6, 7.5))
        self.occupied: list[tuple[float, float, float]] = []  # x, z, radius on the floor
        self.things: list[Thing] = []

    def room(self) -> Room:
        width, height, length = self.size
        position = (
            self.between(-0.5, 0.5) * (width - 1.0),
            self.between(1.0, min(2.0, height - 0.4)),
            length / 2 - self.between(0.3, 1.0),
        )
        target = (
            self.between(-0.35, 0.35) * width,
            self.between(0.4, 1.6),
            self.between(-0.45, -0.1) * length,
        )
        camera = Camera.looking_at(position, target, self.between(-0.1, 0.1))
        self.occupied.append((position[0], position[2], 0.75))
        sides = self.wall(), self.floor(), self.ceiling()
        self.hang()
        for _ in range(int(self.between(4, 9))):
            self.stand(self.kind(), position[2] - 0.9)
        if self.chance(0.5):
            self.lay_rug()
        lights = self.shine()
        ambient = self.tinted(self.between(0.16, 0.34), 0.12)
        return Room(self.size, sides, tuple(self.things), lights, ambient, camera)

    def add(self, label: str, shape: Shape, material: Material) -> None:
        self.things.append(Thing(shape, label, material))

    def kind(self) -> str:
        left = self.between(0, sum(share for _, share in STANDING))
        for label, share in STANDING:
            left -= share
            if left <= 0:
                return label
        return STANDING[-1][0]

    def stand(self, label: str, front: float) -> None:
        """Puts a thing on the floor where there is place for it; gives up after some tries.

        Args:
            label: Its class.
            front: It stands behind this z, so that the camera may see it.
        """
        width, height, length = self.size
        if label == "cabinet":
            self.stand_cabinet(front)
            return
        half = self.measures(label, height)
        radius = math.hypot(half[0], half[2]) if label in ("table", "crate") else half[0]
        for _ in range(6):
            x = self.between(-1, 1) * (width / 2 - radius - 0.02)
            z = self.between(-length / 2 + radius + 0.02, front)
            if self.free(x, z, radius):
                self.occupied.append((x, z, radius))
                self.build(label, (x, z), half)
                return

    def measures(self, label: str, height: float) -> Vector:
        """Half the extents of a thing."""
        if label == "table":
            return self.between(0.4, 0.8), self.between(0.3, 0.4), self.between(0.3, 0.5)
        if label == "crate":
            return self.between(0.15, 0.4), self.between(0.12, 0.4), self.between(0.15, 0.4)
        radius = {"ball": (0.12, 0.45), "column": (0.14, 0.26), "bin": (0.12, 0.28)}[label]
        r = self.between(*radius)
        tall = {"ball": r, "column": height / 2, "bin": self.between(1.0, 2.0) * r}[label]
        return r, tall, r

    def build(self, label: str, place: tuple[float, float], half: Vector, base: float = 0) -> None:
        """Makes a thing whose underside is at a height."""
        yaw = self.between(-math.pi, math.pi)
        center = (place[0], base + half[1], place[1])
        if label == "table":
            self.build_table(center, half, yaw)
        elif label == "crate":
            chosen = self.wood(0.14) if self.chance(0.4) else None
            material = chosen or self.painted(("plain", "checker", "patches", "panels"), 0.2, 0.1)
            self.add(label, Shape("box", center, half, yaw), material)
        elif label == "ball":
            material = self.painted(("plain", "stripes", "checker", "marble"), half[0] * 0.9, 0.8)
            self.add(label, Shape("sphere", center, half, yaw), material)
        elif label == "column":
            stone = self.color((0, 1), 0.12, 0.8), self.color((0, 1), 0.2, 0.5)
            self.add(
                label, Shape("cylinder", center, half, yaw), Material(stone, "marble", 0.5, 0.4)
            )
        else:
            material = self.painted(("plain", "stripes", "dots"), 0.16, 0.5)
            self.add(label, Shape("cylinder", center, half, yaw), material)

    def build_table(self, center: Vector, half: Vector, yaw: float) -> None:
        board, leg = 0.025, 0.03
        material = self.wood(0.16, gloss=0.3)
        top = (center[0], 2 * half[1] - board, center[2])
        self.add("table", Shape("box", top, (half[0], board, half[2]), yaw), material)
        cosine, sine = math.cos(yaw), math.sin(yaw)
        for right in (-1, 1):
            for front in (-1, 1):
                x, z = right * (half[0] - 2 * leg), front * (half[2] - 2 * leg)
                foot = (center[0] + cosine * x + sine * z, 0.0, center[2] - sine * x + cosine * z)
                tall = half[1] - board
                legs = Shape("cylinder", (foot[0], tall, foot[2]), (leg, tall, leg))
                self.add("table", legs, material)
        if self.chance(0.7):
            small = self.pick(("ball", "crate", "bin"))
            r = self.between(0.08, 0.14)
            offset = self.between(-0.5, 0.5) * half[0]
            place = (center[0] + cosine * offset, center[2] - sine * offset)
            tall = r if small == "ball" else self.between(0.8, 1.8) * r
            self.build(small, place, (r, tall, r), base=2 * half[1])

    def stand_cabinet(self, front: float) -> None:
        width, height, length = self.size
        half_x, half_z = self.between(0.3, 0.8), self.between(0.18, 0.3)
        half_y = min(self.between(0.4, 1.05), height / 2 - 0.1)
        material = (
            self.wood(0.3) if self.chance(0.5) else self.painted(("panels", "plain"), 0.5, 0.2)
        )
        for _ in range(6):
            at_back = self.chance(0.5)
            if at_back:
                x, z = self.between(-1, 1) * (width / 2 - half_x), -length / 2 + half_z
                half = (half_x, half_y, half_z)
            else:
                x = math.copysign(width / 2 - half_z, self.between(-1, 1))
                z = self.between(-length / 2 + half_x, min(front, length / 2 - half_x))
                half = (half_z, half_y, half_x)
            radius = half_x + 0.1
            if self.free(x, z, radius):
                self.occupied.append((x, z, radius))
                self.add("cabinet", Shape("box", (x, half_y, z), half), material)
                return

    def free(self, x: float, z: float, radius: float) -> bool:
        return all(math.hypot(x - a, z - b) > radius + r for a, b, r in self.occupied)

    def hang(self) -> None:
        """Windows, doors and pictures, side by side on the walls at the back, left and right."""
        width, height, length = self.size
        for wall in ("back", "left", "right"):
            span = width if wall == "back" else length
            along = -span / 2 + self.between(0.15, 1.0)
            while along < span / 2 - 0.6:
                label = self.pick(("window", "door", "picture", "picture", "nothing"))
                half, middle = self.opening(label, height)
                if along + 2 * half[0] > span / 2 - 0.1:
                    break
                if label != "nothing":
                    self.hang_one(label, wall, along + half[0], half, middle)
                along += 2 * half[0] + self.between(0.3, 1.2)

    def opening(self, label: str, height: float) -> tuple[tuple[float, float], float]:
        """Half the width and height of a thing on a wall, and the height of its middle."""
        if label == "window":
            return (self.between(0.4, 0.85), self.between(0.4, 0.6)), self.between(1.35, 1.6)
        if label == "door":
            tall = min(self.between(0.97, 1.05), height / 2 - 0.1)
            return (self.between(0.38, 0.48), tall), tall
        return (self.between(0.2, 0.5), self.between(0.2, 0.45)), self.between(1.4, 1.7)

    def hang_one(
        self, label: str, wall: str, along: float, half: tuple[float, float], middle: float
    ) -> None:
        width, _, length = self.size
        if wall == "back":
            shape = Shape("box", (along, middle, -length / 2), (*half, THIN))
        else:
            x = math.copysign(width / 2, -1 if wall == "left" else 1)
            shape = Shape("box", (x, middle, along), (THIN, half[1], half[0]))
        self.add(label, shape, self.decoration(label, half))

    def decoration(self, label: str, half: tuple[float, float]) -> Material:
        """Of a window, a door or a picture."""
        if label == "window":
            sky, frame = self.color((0.52, 0.62), 0.3, 0.9), self.color((0, 1), 0.1, 0.6)
            return Material((sky, frame), "window", half[0], gloss=0.3, glow=self.between(0.5, 1.1))
        if label == "door":
            return self.wood(0.45) if self.chance(0.5) else self.painted(("panels",), 0.45, 0.2)
        return self.painted(("marble", "patches", "checker", "dots"), self.between(0.2, 0.4), 0.2)

    def lay_rug(self) -> None:
        """A rug on the floor, below whatever stands there."""
        width, _, length = self.size
        center = (self.between(-0.2, 0.2) * width, 0.0, self.between(-0.25, 0.1) * length)
        material = self.painted(("stripes", "checker", "dots", "patches"), 0.35, 0.0)
        half = (self.between(0.6, 1.2), 0.004, self.between(0.5, 1.0))
        if self.chance(0.4):
            shape = Shape("cylinder", center, (half[0], half[1], half[0]))
        else:
            shape = Shape("box", center, half, self.between(-0.5, 0.5))
        self.add("rug", shape, material)

    def shine(self) -> tuple[Light, ...]:
        """Two or three lights below the ceiling; the first casts shadows, and may hang as a lamp."""
        width, height, length = self.size
        lights = []
        for number in range(int(self.between(2, 4))):
            place = (
                self.between(-0.35, 0.35) * width,
                height - self.between(0.2, 0.5),
                self.between(-0.4, 0.1) * length,
            )
            strength = self.between(3.0, 5.0) if number == 0 else self.between(0.6, 2.0)
            color = self.tinted(strength, 0.25)
            lights.append(Light(place, color, casts=number == 0))
            if number == 0 and self.chance(0.6):
                r = self.between(0.09, 0.18)
                bulb = (1.0, self.between(0.85, 1.0), self.between(0.6, 0.95))
                self.add(
                    "lamp",
                    Shape("sphere", place, (r, r, r)),
                    Material((bulb, bulb), "plain", 1.0, glow=1.0),
                )
        return tuple(lights)
