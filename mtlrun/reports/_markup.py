"""Tables as Markdown, LaTeX and CSV."""

import csv
import io
from collections.abc import Mapping, Sequence

from mtlrun.reports._grid import DOWN, UP, Entry, Grid

_LATEX: Mapping[str, str] = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    UP: r"$\uparrow$", DOWN: r"$\downarrow$", "\u00b1": r"$\pm$",
}  # fmt: skip


def to_markdown(grid: Grid) -> str:
    """A heading, a pipe table whose heads name task and metric, and notes."""
    heads = [f"{head.group} {head.text}".strip() for head in grid.heads]
    lines = [f"## {_escape_pipes(grid.title)}", ""]
    lines.append(_pipe_row([_escape_pipes(head) for head in heads]))
    lines.append(_pipe_row(["---", *["---:"] * (len(heads) - 1)]))
    for row in grid.rows:
        lines.append(_pipe_row([_markdown_entry(entry) for entry in row]))
    if grid.notes:
        lines += ["", *(f"- {_escape_pipes(note)}" for note in grid.notes)]
    return "\n".join(lines) + "\n"


def to_latex(grid: Grid) -> str:
    """A table of the booktabs package: tasks above their metrics, notes in the caption."""
    groups: list[tuple[str, int]] = []
    for head in grid.heads:
        if groups and groups[-1][0] == head.group:
            groups[-1] = (head.group, groups[-1][1] + 1)
        else:
            groups.append((head.group, 1))
    lines = [
        "% needs \\usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_escape_latex('. '.join([grid.title, *grid.notes]))}.}}",
        rf"\begin{{tabular}}{{l{'r' * (len(grid.heads) - 1)}}}",
        r"\toprule",
    ]
    if any(group for group, _ in groups):
        over = [
            rf"\multicolumn{{{count}}}{{c}}{{{_escape_latex(group)}}}"
            if group
            else " &" * (count - 1)
            for group, count in groups
        ]
        lines.append(" & ".join(over) + r" \\")
    lines.append(" & ".join(_escape_latex(head.text) for head in grid.heads) + r" \\")
    lines.append(r"\midrule")
    for number, row in enumerate(grid.rows):
        if number and number in grid.rules:
            lines.append(r"\addlinespace")
        lines.append(" & ".join(_latex_entry(entry) for entry in row) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def to_csv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Values as they are; floats as the shortest decimals that read back as the same."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _markdown_entry(entry: Entry) -> str:
    text = _escape_pipes(entry.text)
    text = f"**{text}**" if entry.is_best else text
    return f"{text} !" if entry.is_outside else text


def _latex_entry(entry: Entry) -> str:
    text = _escape_latex(entry.text)
    text = rf"\textbf{{{text}}}" if entry.is_best else text
    return rf"{text}$^\ast$" if entry.is_outside else text


def _pipe_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escape_pipes(text: str) -> str:
    return text.replace("|", r"\|")


def _escape_latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)
