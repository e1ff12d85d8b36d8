"""A report names the tasks scored on a part of a labelled split, and shows the whole beside it on request."""

import io
from dataclasses import replace

from rich.console import Console
from summaries import make_summary

from rayforget.frontier.split_halves import HalvedTask, WholeScore
from rayforget.frontier.summary import Summary
from rayforget.report.terminal.tables import frontier_table
from rayforget.report.web.page_tables import recovered_html, whole_html
from rayforget.report.words.footnotes import footnotes


def halved() -> Summary:
    return replace(
        make_summary("full"),
        halved=(
            HalvedTask(name="sketch", seed=0, val_share=0.5),
            HalvedTask(name="cartoon", seed=0, val_share=0.5),
            HalvedTask(name="counting", seed=4, val_share=0.25),
        ),
    )


def printed(summary: Summary) -> str:
    text = io.StringIO()
    Console(width=160, file=text).print(frontier_table(summary))
    return text.getvalue()


def test_footnotes_name_the_tasks_their_cut_and_that_it_is_not_the_published_number() -> None:
    assert not any("cut in two" in note for note in footnotes(make_summary("full")))
    one, other = [note for note in footnotes(halved()) if "cut in two" in note]
    assert "(seed 0), 50 % for val and 50 % for test: sketch, cartoon; " in one
    assert "(seed 4), 25 % for val and 75 % for test: counting; " in other
    assert "not the published numbers (rayforget frontier tiny-<1> --full prints the whole split" in one
    assert "not the published numbers" in recovered_html(halved())
    assert "not the published numbers" in " ".join(printed(halved()).split())


def test_the_whole_stands_beside_its_parts_marked_as_seen() -> None:
    summary = halved()
    assert "Whole labelled splits" not in printed(summary)
    assert whole_html(summary) == ""
    assert summary.plain is not None
    scores = [
        WholeScore(task="sketch", points=points, val=0.5, test=0.61234, whole=0.55, num_items=998)
        for points in (summary.theta_0.points, summary.plain.points, (summary.frontier[-1],))
    ]
    summary = replace(summary, whole=tuple(scores))
    text = printed(summary)
    assert "Whole labelled splits" in text
    for name in ("θ0, pretrained", "plain, mean of 3 seeds", summary.points[summary.frontier[-1]].trial):
        assert any(line.split("  ")[0].strip() == "sketch" and name in line for line in text.splitlines())
    assert "61.2" in text
    assert "seen in selection" in text
    assert whole_html(summary).count("<td>61.2</td>") == 3
