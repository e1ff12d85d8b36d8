"""A sweep's findings -> one HTML file that needs nothing else: the report, to be explored, read and printed."""

from html import escape
from importlib.resources import files

from plotly.offline import get_plotlyjs

from rayforget.printable import printable
from rayforget.report.findings import Findings
from rayforget.report.web.agreement_html import agreement_html
from rayforget.report.web.chart import build_chart
from rayforget.report.web.compact import as_script
from rayforget.report.web.cost_html import cost_html
from rayforget.report.web.effects_html import effects_html
from rayforget.report.web.failures_html import failures_html
from rayforget.report.web.forgetting_html import forgetting_html
from rayforget.report.web.html import Section, section
from rayforget.report.web.legend_html import legend_html
from rayforget.report.web.marks import SHAPES
from rayforget.report.web.page_tables import (
    baselines_html,
    frontier_html,
    paths_html,
    recovered_html,
    tasks_html,
    whole_html,
)
from rayforget.report.web.take_html import take_html
from rayforget.report.web.theme import color_variables, dark_colors
from rayforget.report.web.walk_html import walk_html, walk_start
from rayforget.report.words.numbers import read

_HOW_TO = (
    "Point at a mark to see its recipe and its score per task; drag to zoom, double-click to go back; the buttons "
    "above switch what is shown. The band is the frontier's, 95 % over items, paired with θ0."
)

_SCRIPTS = tuple(f"page_{name}.js" for name in ("hovers", "data", "labels", "chart", "cloud", "curves", "walk"))

_CHART = "speciality against generality of every point; the walk and the tables below have the numbers"


def page_of(findings: Findings) -> str:
    """The page (about 5 MB, nearly all of it plotly's script); it makes no network requests."""
    summary = findings.summary
    figure, table = build_chart(summary)
    title = escape(summary.name)
    sentences = "\n".join(f"<p>{escape(line)}</p>" for line in read(summary))
    if summary.notice is not None:
        sentences = f'<p class="alert">{escape(summary.notice)}</p>\n{sentences}'
    sections = _sections(findings)
    links = "".join(f'<a href="#{each.name}">{each.title}</a>' for each in sections)
    body = "\n".join(each.html for each in sections)
    data = {"figure": figure.to_json(), "dark": dark_colors(), "hovers": table, "start": walk_start(summary)}
    data["marks"] = SHAPES
    head = (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    )
    text = (
        f"<body>\n<header>\n<h1>{title}<small>Speciality against generality</small></h1>\n{sentences}\n"
        f'<nav aria-label="sections">{links}</nav>\n</header>\n<main>\n{body}\n</main>\n'
    )
    return (
        f"{printable(head)}<style>{color_variables()}\n{_file('page.css')}</style>\n</head>\n{printable(text)}"
        f"{''.join(as_script(value, name) for name, value in data.items())}\n<script>{get_plotlyjs()}</script>\n"
        + "\n".join(f"<script>{_file(name)}</script>" for name in _SCRIPTS)
        + "\n</body>\n</html>\n"
    )


def _sections(findings: Findings) -> list[Section]:
    summary = findings.summary
    canvas = '<div id="cloud-clip"><canvas id="cloud" aria-hidden="true"></canvas></div>'
    chart = f'<div id="plot">{canvas}<div id="frontier" role="group" aria-label="{_CHART}"></div></div>'
    how_to = f'<p class="note how-to">{_HOW_TO}</p>'
    found = [
        section("chart", "Frontier", legend_html(summary), chart, how_to, walk_html(summary)),
        take_html(summary, findings.storage),
        baselines_html(summary),
        frontier_html(summary),
        forgetting_html(findings.forgetting, summary),
        recovered_html(summary),
        paths_html(summary),
        tasks_html(summary),
        effects_html(findings.effects, summary.theta_0.val.pair),
        agreement_html(findings.agreement, summary),
        cost_html(findings.cost, summary),
        failures_html(findings.failures),
        whole_html(summary),
    ]
    return [each for each in found if each is not None]


def _file(name: str) -> str:
    return files("rayforget.report.web").joinpath(name).read_text(encoding="utf-8")
