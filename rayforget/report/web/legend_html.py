"""The chart's legend: a button for each method and each layer, to be switched by mouse, finger or keyboard."""

from html import escape

from rayforget.frontier.summary import Summary
from rayforget.report.method_styles import assign_looks
from rayforget.report.web.chart import BAND_GROUP, TEST_GROUP, WALK_GROUP
from rayforget.report.web.html import key
from rayforget.report.web.walk_html import can_walk
from rayforget.report.words.numbers import name_method


def legend_html(summary: Summary) -> str:
    """Methods with points; then the band, the frontier on `test` and the walk, where there are any."""
    looks = assign_looks(point.method for point in summary.points)
    methods = [method.method for method in summary.methods if method.trainings]
    buttons = [
        f'<button type="button" data-group="{escape(method)}" data-method aria-pressed="true">'
        f"{key(looks[method])}{escape(name_method(method))}</button>"
        for method in methods
    ]
    if len(methods) > 1:
        buttons += [f'<button type="button" class="quiet" data-all="{on}">{text}</button>' for on, text in _ALL]
    if summary.band is not None:
        buttons.append(_layer(BAND_GROUP, "95 % band", on=True))
    if any(i in summary.test for i in summary.frontier):
        buttons.append(_layer(TEST_GROUP, "frontier on test", on=False))
    if can_walk(summary):
        buttons.append(_layer(WALK_GROUP, _WALK, on=True))
    return f'<div id="legend" role="group" aria-label="what the chart shows">{"".join(buttons)}</div>'


_WALK = 'walk<span id="walk-name"></span>'
"""Which training it is is written by `page_walk.js`."""
_ALL = (("on", "all"), ("off", "none"))


def _layer(group: str, text: str, *, on: bool) -> str:
    patch = f'<i class="{group.removeprefix(":")}"></i>'
    return f'<button type="button" data-group="{group}" aria-pressed="{str(on).lower()}">{patch}{text}</button>'
