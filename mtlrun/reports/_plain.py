"""Tables for terminals: columns of text, as many beside each other as there is room for."""

from collections.abc import Sequence

from mtlrun.reports._grid import Grid

GAP = "  "
_BOLD, _END = "\033[1m", "\033[0m"


def to_plain(grid: Grid, *, width: int, colour: bool = False) -> str:
    """The table in blocks of at most a width; each begins with the rows' names.

    Args:
        grid: What is shown.
        width: Characters; a name and one column are shown in any case.
        colour: Whether the terminal shows bold; else the best numbers have a star.
    """
    texts = [[head.group for head in grid.heads], [head.text for head in grid.heads]]
    marks = [["" for _ in grid.heads]] * 2
    for row in grid.rows:
        texts.append([entry.text for entry in row])
        marks.append([_mark(e.is_best and not colour, e.is_outside) for e in row])
    cells = [
        [text + mark for text, mark in zip(*pair, strict=True)]
        for pair in zip(texts, marks, strict=True)
    ]
    widths = [max(len(line[i]) for line in cells) for i in range(len(grid.heads))]
    lines = [grid.title, ""]
    for block in _blocks(widths, width):
        shown = [0, *block]
        for number, line in enumerate(cells):
            if number == 0 and not any(line[i] for i in shown):
                continue
            if number - 2 in grid.rules and number > 2:
                lines.append("")
            group = None
            parts = []
            for i in shown:
                text = line[i]
                if number == 0:  # a task's name once
                    text, group = ("" if text == group else text), text
                padded = text.rjust(widths[i]) if i else text.ljust(widths[i])
                bold = colour and number > 1 and grid.rows[number - 2][i].is_best
                parts.append(f"{_BOLD}{padded}{_END}" if bold else padded)
            lines.append(GAP.join(parts).rstrip())
        lines.append("")
    if not colour and any(entry.is_best for row in grid.rows for entry in row):
        lines.append("* best")
    lines += [f"- {note}" for note in grid.notes]
    return "\n".join(lines).rstrip() + "\n"


def _mark(is_best: bool, is_outside: bool) -> str:
    return ("*" if is_best else "") + ("!" if is_outside else "")


def _blocks(widths: Sequence[int], width: int) -> list[list[int]]:
    """Columns after the first, in as many blocks as they need."""
    blocks: list[list[int]] = []
    used = width
    for i, own in enumerate(widths[1:], 1):
        if not blocks or used + own + len(GAP) > width:
            blocks.append([])
            used = widths[0]
        blocks[-1].append(i)
        used += own + len(GAP)
    return blocks
