"""Titles, cells and values -> the parts of a page as HTML: sections, tables, keys of methods."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from rayforget.report.method_styles import Look
from rayforget.report.web.marks import SHAPES
from rayforget.report.words.numbers import name_method


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the page to which a link leads."""

    name: str
    title: str
    html: str


def section(name: str, title: str, *parts: str, note: str = "") -> Section:
    """The parts below a heading; empty ones are left out."""
    said = f'<p class="note">{escape(note)}</p>' if note else ""
    body = "\n".join(part for part in (said, *parts) if part)
    html = (
        f'<section id="{name}" aria-labelledby="{name}-title">\n<h2 id="{name}-title">{title}</h2>\n{body}\n</section>'
    )
    return Section(name=name, title=title, html=html)


def subtitle(title: str, note: str = "") -> str:
    """A heading within a section."""
    return f"<h3>{escape(title)}</h3>" + (f'\n<p class="note">{escape(note)}</p>' if note else "")


def row(cells: Sequence[str], *, num_text: int, kind: str = "", escaped: bool = False) -> str:
    """A row whose first `num_text` cells are words, the others numbers."""
    shown = cells if escaped else [escape(cell) for cell in cells]
    tags = ["<td class=text>" if i < num_text else "<td>" for i in range(len(shown))]
    opened = f'<tr class="{kind}">' if kind else "<tr>"
    return opened + "".join(f"{tag}{cell}</td>" for tag, cell in zip(tags, shown, strict=True)) + "</tr>"


def plain_table(
    text_heads: Sequence[str], number_heads: Sequence[str], rows: Sequence[Sequence[str]], *, what: str
) -> str:
    """A table of cells made elsewhere, for the page and the terminal alike."""
    heads = [f'<th class="text" scope="col">{escape(head)}</th>' for head in text_heads]
    heads += [f'<th scope="col">{escape(head)}</th>' for head in number_heads]
    cells = [row(each, num_text=len(text_heads)) for each in rows]
    return table(f"<tr>{''.join(heads)}</tr>", cells, what=what)


def table(head: str, rows: Sequence[str], *, what: str, kind: str = "") -> str:
    """A table that scrolls by itself where the page is narrow, also by keyboard; `what` names it to those who hear."""
    body = "\n".join(rows)
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{escape(what)}"><table class="{kind}">\n'
        f"<thead>{head}</thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def keys(methods: Iterable[str], looks: Mapping[str, Look]) -> str:
    """A line with the marks of these methods, for drawings below it."""
    marks = " ".join(f"<span>{key(looks[name])}{escape(name_method(name))}</span>" for name in sorted(set(methods)))
    return f'<p class="note keys">{marks}</p>'


def key(look: Look) -> str:
    """A method's mark, beside its name."""
    return (
        f'<svg class="key {look.name}" viewBox="-6 -6 12 12" aria-hidden="true"><path d="{SHAPES[look.symbol]}"/></svg>'
    )
