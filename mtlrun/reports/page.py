"""One page that holds everything: tables that sort, figures, groups, settings; it needs no network."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from mtlrun.reports._grid import Entry, Grid, Head, grid_of
from mtlrun.reports._html import notes_html, table_html
from mtlrun.reports._panels import affinity_maps, group_lists, learning_curves
from mtlrun.reports._settings import ABSENT, differing, named
from mtlrun.reports.tables import ResultTable

FILES = Path(__file__).resolve().parent / "page"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def to_page(
    tables: Sequence[ResultTable], beside: Sequence[Grid] = (), remarks: Sequence[str] = ()
) -> str:
    """The whole page.

    Args:
        tables: A section for each.
        beside: Tables of papers beside ours, before them.
        remarks: What was left out.
    """
    titles = [*(grid.title for grid in beside), *(table.title for table in tables)]
    links = "".join(
        f'<li><a href="#part{k}">{escape(title)}</a></li>' for k, title in enumerate(titles)
    )
    runs = sum(len(row.runs) for table in tables for row in table.rows)
    counts = f"{_many(runs, 'run')} in {_many(len(tables), 'table')}"
    legend = (
        "Means \u00b1 sample deviations over seeds. Arrows show which direction is better, the best "
        "of a column is bold; a click on a column's name sorts."
    )
    sections = [
        _section(k, grid.title, table_html(grid, sorts=False)) for k, grid in enumerate(beside)
    ]
    sections += [
        _section(k, table.title, _table_parts(table)) for k, table in enumerate(tables, len(beside))
    ]
    if remarks:
        sections.append(_section(len(titles), "Left out", notes_html(remarks)))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<link rel="icon" href="data:,"><title>mtlrun report</title>'
        f"<style>{_text('style.css')}</style></head><body>"
        f'<header><h1>mtlrun report</h1><p class="quiet">{counts}. {legend}</p>'
        f'<nav aria-label="Tables"><ul>{links}</ul></nav></header>'
        f"<main>{''.join(sections)}</main><script>{_text('sort.js')}</script></body></html>\n"
    )


def _section(number: int, title: str, content: str) -> str:
    return (
        f'<section aria-labelledby="part{number}"><h2 id="part{number}">{escape(title)}</h2>'
        f"{content}</section>"
    )


def _table_parts(table: ResultTable) -> str:
    parts = [table_html(grid_of(table))]
    for title, content in (
        ("Affinities", affinity_maps(table)),
        ("Groups", group_lists(table)),
        ("Learning curves", learning_curves(table)),
    ):
        if content:
            parts.append(f"<h3>{title}</h3>{content}")
    if (settings := _differences(table)) is not None:
        parts.append(
            f"<details><summary>Settings that differ ({len(settings.rows)})</summary>"
            f"{table_html(settings, sorts=False)}</details>"
        )
    return "".join(parts)


def _differences(table: ResultTable) -> Grid | None:
    """A row for every setting that differs between rows; None where none does."""
    settings = [row.runs[0].settings for row in table.rows]
    paths = differing(settings)
    if not paths:
        return None
    heads = [Head("", "setting"), *(Head("", row.label) for row in table.rows)]
    rows = []
    for path in paths:
        pairs = [named(path, own.get(path, ABSENT)) for own in settings]
        name = min((name for name, _ in pairs), key=len)
        entries = [Entry("" if own.get(path) is None else value) for own, (_, value) in
                   zip(settings, pairs, strict=True)]  # fmt: skip
        rows.append((Entry(name), *entries))
    return Grid(f"Settings that differ: {table.title}", tuple(heads), tuple(rows))


def _many(count: int, name: str) -> str:
    return f"{count} {name}{'' if count == 1 else 's'}"


def _text(name: str) -> str:
    return (FILES / name).read_text(encoding="utf-8")
