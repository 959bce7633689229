"""Tables as HTML."""

import math
from collections.abc import Sequence
from html import escape

from mtlrun.reports._grid import UP, Entry, Grid


def table_html(grid: Grid, *, sorts: bool = True, caption: str = "") -> str:
    """A table that scrolls sideways on its own, its heads buttons that sort where it sorts.

    Args:
        grid: What is shown; blocks that belong together do not sort.
        sorts: Whether rows may be in another order.
        caption: What screen readers call it.
    """
    parts = [
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption or grid.title)}">'
        f"<table><thead>"
    ]
    if any(head.group for head in grid.heads):
        parts.append(f'<tr class="groups">{_group_row(grid)}</tr>')
    begins = _begins(grid)
    heads = []
    for k, head in enumerate(grid.heads):
        mark = ' class="begins"' if k in begins else ""
        text = escape(head.text)
        if sorts:
            first = "descending" if head.arrow == UP else "ascending"
            text = f'<button type="button" data-column="{k}" data-first="{first}">{text}</button>'
        order = ' aria-sort="none"' if sorts else ""
        heads.append(f'<th scope="col"{mark}{order}>{text}</th>')
    parts.append(f"<tr>{''.join(heads)}</tr></thead><tbody>")
    for number, row in enumerate(grid.rows):
        rule = ' class="rule"' if number and number in grid.rules else ""
        cells = [_first(row[0]), *(_cell(e, k in begins) for k, e in enumerate(row[1:], 1))]
        parts.append(f"<tr{rule}>{''.join(cells)}</tr>")
    parts.append("</tbody></table></div>")
    return "".join(parts) + notes_html(grid.notes)


def notes_html(notes: Sequence[str]) -> str:
    """A quiet list; nothing without notes."""
    if not notes:
        return ""
    return f'<ul class="notes">{"".join(f"<li>{escape(note)}</li>" for note in notes)}</ul>'


def _group_row(grid: Grid) -> str:
    spans: list[tuple[str, int]] = []
    for head in grid.heads:
        if spans and spans[-1][0] == head.group:
            spans[-1] = (head.group, spans[-1][1] + 1)
        else:
            spans.append((head.group, 1))
    return "".join(
        f'<th colspan="{count}" scope="colgroup">{escape(group)}</th>'
        if group
        else f'<td colspan="{count}"></td>'
        for group, count in spans
    )


def _begins(grid: Grid) -> set[int]:
    """Columns before which another task ends."""
    heads = grid.heads
    return {k for k in range(1, len(heads)) if heads[k].group != heads[k - 1].group}


def _first(entry: Entry) -> str:
    return f'<th scope="row" data-v="{escape(entry.text)}">{escape(entry.text)}</th>'


def _cell(entry: Entry, begins: bool) -> str:
    classes = [
        name
        for name, holds in (
            ("best", entry.is_best),
            ("outside", entry.is_outside),
            ("begins", begins),
        )
        if holds
    ]
    known = entry.value is not None
    if isinstance(entry.value, float):
        known = math.isfinite(entry.value)
    value = escape(str(entry.value)) if known else ""
    own = f' class="{" ".join(classes)}"' if classes else ""
    mark = '<span aria-label="outside the tolerance"> !</span>' if entry.is_outside else ""
    return f'<td{own} data-v="{value}">{escape(entry.text)}{mark}</td>'
