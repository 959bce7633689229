"""Figures as SVG that takes its colours from the page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from mtlrun.reports._canvas import shared_exponent, short_number

NUM_COLOURS = 7
DASHES = ("", "5 3", "2 2")
_CELL, _LETTER = 46, 6.4
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 300, 180, 46, 8, 8, 24


@dataclass(frozen=True)
class Line:
    """A curve: the number of its row, its points, and whether it is of the validation split."""

    row: int
    points: Sequence[tuple[float, float]]
    is_val: bool = False


def heat_map(tasks: Sequence[str], values: Sequence[Sequence[float]], *, label: str) -> str:
    """Rows are sources, columns targets; blue helps, red harms, by the largest off the diagonal.

    Args:
        tasks: T names.
        values: T rows of T.
        label: What screen readers say.
    """
    size = len(tasks)
    apart = [abs(values[i][j]) for i in range(size) for j in range(size) if i != j]
    limit = max((v for v in apart if math.isfinite(v)), default=0.0) or 1.0
    scale = 10.0 ** shared_exponent(limit)
    margin = 14 + _LETTER * max(len(task) for task in tasks)
    over = 14 + 0.72 * _LETTER * max(len(task) for task in tasks)
    width, height = margin + size * _CELL + 0.72 * over, over + size * _CELL + 2
    parts = [_open(width, height, label)]
    for i, source in enumerate(tasks):
        x, y = margin + (i + 0.5) * _CELL, over + (i + 0.5) * _CELL
        parts.append(
            f'<text x="{margin - 8:.0f}" y="{y + 4:.0f}" text-anchor="end">{escape(source)}</text>'
        )
        parts.append(
            f'<text transform="translate({x:.0f} {over - 6:.0f}) rotate(-45)">{escape(source)}</text>'
        )
        for j in range(size):
            parts.append(
                _heat_cell(
                    values[i][j],
                    i == j,
                    limit=limit,
                    scale=scale,
                    x=margin + j * _CELL,
                    y=over + i * _CELL,
                )
            )
    return "".join(parts) + "</svg>"


def scale_note(values: Sequence[Sequence[float]]) -> str:
    """The unit of a heat map's numbers, in words; empty for 1."""
    apart = [abs(v) for i, row in enumerate(values) for j, v in enumerate(row) if i != j]
    exponent = shared_exponent(max((v for v in apart if math.isfinite(v)), default=0.0) or 1.0)
    return f" In units of 1e{exponent}." if exponent else ""


def curves(lines: Sequence[Line], *, label: str) -> str:
    """Losses over steps: a colour for every row; validation losses are dotted.

    Args:
        lines: With a point at least among them.
        label: What screen readers say.
    """
    points = [p for line in lines for p in line.points if math.isfinite(p[1])]
    last = max(x for x, _ in points) or 1.0
    low, high = min(y for _, y in points), max(y for _, y in points)
    is_log = low > 0 and high > 10 * low
    bottom, top = (math.log10(low), math.log10(high)) if is_log else (low, high)
    span = (top - bottom) or abs(top) or 1.0
    inner = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(x: float, y: float) -> str:
        level = ((math.log10(y) if is_log else y) - bottom) / span
        return f"{_LEFT + inner[0] * x / last:.1f},{_TOP + inner[1] * (1 - level):.1f}"

    parts = [_open(_WIDTH, _HEIGHT, label)]
    for level in (0.0, 0.5, 1.0):
        y = _TOP + inner[1] * (1 - level)
        value = bottom + span * level
        text = short_number(10**value if is_log else value)
        parts.append(f'<path class="axis" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(
            f'<text class="faint" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
        )
    foot = _HEIGHT - 6
    parts.append(f'<text class="faint" x="{_LEFT}" y="{foot}">0</text>')
    parts.append(
        f'<text class="faint" x="{_WIDTH - _RIGHT}" y="{foot}" text-anchor="end">step {last:g}</text>'
    )
    for line in lines:
        known = [(x, y) for x, y in line.points if math.isfinite(y)]
        if len(known) == 1:
            cx, cy = place(*known[0]).split(",")
            parts.append(f'<circle cx="{cx}" cy="{cy}" r="2.5" style="fill:{colour(line.row)}"/>')
        elif known:
            where = " ".join(place(x, y) for x, y in known)
            dash = "1 4" if line.is_val else DASHES[line.row // NUM_COLOURS % len(DASHES)]
            parts.append(
                f'<polyline class="seed" points="{where}" stroke-dasharray="{dash}" '
                f'stroke-linecap="round" style="stroke:{colour(line.row)}"/>'
            )
    return "".join(parts) + "</svg>"


def swatch(row: int) -> str:
    """A row's colour and dashes, for a legend."""
    dash = DASHES[row // NUM_COLOURS % len(DASHES)]
    return (
        f'<svg width="22" height="8" aria-hidden="true"><path class="curve" d="M1 4H21" '
        f'stroke-dasharray="{dash}" style="stroke:{colour(row)}"/></svg>'
    )


def colour(row: int) -> str:
    """Of a row's lines."""
    return f"var(--c{row % NUM_COLOURS})"


def thinned(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """At most so many points: means of neighbours, the last as it is."""
    if len(points) <= most:
        return list(points)
    size = math.ceil((len(points) - 1) / (most - 1))
    found = []
    for begin in range(0, len(points) - 1, size):
        part = points[begin : min(begin + size, len(points) - 1)]
        found.append((sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)))
    return [*found, points[-1]]


def _open(width: float, height: float, label: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" '
        f'role="img" aria-label="{escape(label)}">'
    )


def _heat_cell(
    value: float, is_own: bool, *, limit: float, scale: float, x: float, y: float
) -> str:
    box = f'x="{x + 1:.1f}" y="{y + 1:.1f}" width="{_CELL - 2}" height="{_CELL - 2}" rx="3"'
    if is_own or not math.isfinite(value):
        shape = f'<rect {box} class="own"/>'
    else:
        share = 0.08 + 0.72 * min(1.0, abs(value) / limit)
        tint = "var(--helps)" if value >= 0 else "var(--harms)"
        shape = f'<rect {box} style="fill:{tint};fill-opacity:{share:.2f}"/>'
    middle = x + _CELL / 2
    text = short_number(value / scale)
    return f'{shape}<text x="{middle:.1f}" y="{y + _CELL / 2 + 4:.1f}" text-anchor="middle">{text}</text>'
