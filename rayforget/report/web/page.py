"""A summary -> one HTML file that needs nothing else: the findings, an interactive picture, the tables."""

from html import escape
from pathlib import Path

from rayforget.frontier.summary import Summary
from rayforget.printable import printable
from rayforget.report.web.chart import build_chart
from rayforget.report.web.compact import EXPAND, SHOW, as_script
from rayforget.report.web.page_tables import (
    baselines_html,
    frontier_html,
    paths_html,
    recovered_html,
    tasks_html,
    whole_html,
)
from rayforget.report.words.numbers import read

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; color: #1b1f24;
  background: #fff; max-width: 1120px; margin: 32px auto; padding: 0 20px; }
h1 { font-size: 22px; margin: 0 0 10px; }
h2 { font-size: 16px; margin: 34px 0 2px; }
p { margin: 3px 0; max-width: 92ch; }
p.alert { color: #b42318; font-weight: 600; }
p.note, li { color: #6b7280; font-size: 13px; }
ul { padding-left: 18px; margin: 6px 0; }
div.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 14px; margin-top: 8px; }
th { text-align: right; font-weight: 600; vertical-align: bottom; padding: 4px 12px 4px 0; }
thead tr:last-child th { border-bottom: 1px solid #1b1f24; }
td { text-align: right; padding: 3px 12px 3px 0; border-bottom: 1px solid #eef2f6; white-space: nowrap; }
th.text, td.text { text-align: left; }
th.group { text-align: center; border-bottom: 1px solid #d8dee4; }
tr.picked td { font-weight: 600; background: #eef2f6; }
tr.quiet td { color: #6b7280; }
td i { display: inline-block; width: 10px; height: 10px; border-radius: 5px; margin-right: 7px; }
"""
_HOW_TO = (
    "Point at a mark to see its recipe and its score per task; click a method in the legend to hide it, twice to see "
    "it alone; drag to zoom, double-click to go back."
)


def write_page(summary: Summary, path: Path) -> None:
    """Writes the page (about 5 MB, nearly all of it plotly's script); it makes no network requests."""
    figure, table = build_chart(summary)
    chart = figure.to_html(
        full_html=False,
        include_plotlyjs=True,
        include_mathjax=False,
        div_id="frontier",
        post_script=EXPAND + SHOW,
        config={"displaylogo": False, "responsive": True, "modeBarButtonsToRemove": ["lasso2d", "select2d"]},
    )
    sentences = "\n".join(f"<p>{escape(line)}</p>" for line in read(summary))
    if summary.notice is not None:
        sentences = f'<p class="alert">{escape(summary.notice)}</p>\n{sentences}'
    tables = (baselines_html, frontier_html, recovered_html, paths_html, tasks_html, whole_html)
    body = printable("\n".join(table(summary) for table in tables))
    title, sentences = escape(printable(summary.name)), printable(sentences)
    path.write_text(
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}: speciality against generality</h1>\n{sentences}\n"
        f'{as_script(table)}{chart}\n<p class="note">{_HOW_TO}</p>\n{body}\n</body>\n</html>\n',
        encoding="utf-8",
    )
