"""benchmarks/speed tells figures as tables of Markdown and as charts that are SVG."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.speed import charts, report
from benchmarks.speed.report import Report

FIGURES = {
    "bursts": {
        "llm-stream": {"cpu_us_per_token": 9.876, "tokens_per_second": 101_234.0},
        "a <system>": {"cpu_us_per_token": 281.0},
    },
    "waterfall": {
        "a part with a name that is much too long for any column": {"bursts_us": 1.5},
        "less than nothing": {"bursts_us": -0.2},
        "together": {"bursts_us": 1.3},
    },
}
SAID = Report("2026-11-27", "2 x x86_64, Linux", "3.11.7", 3, FIGURES, ["soak: lost"])


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.01234, "0.0123"), (9.876, "9.88"), (281, "281"), (101_234, "101,000")],
)
def test_a_figure_has_three_digits_that_count(value: float, text: str) -> None:
    """No more is known of it."""
    assert report.number(value) == text


def test_systems_stand_side_by_side() -> None:
    """A row a system, a column a figure with its unit; what one does not have is left empty."""
    assert report.table("bursts", FIGURES["bursts"]) == (
        "| bursts | CPU us a token | tokens/s |\n"
        "|---|--:|--:|\n"
        "| llm-stream | 9.88 | 101,000 |\n"
        "| a <system> | 281 |  |"
    )


def test_a_summary_has_a_line_a_system() -> None:
    """Its columns are those of which there are figures."""
    assert report.summary(FIGURES) == (
        "| | CPU us a token, bursts | tokens/s, bursts |\n"
        "|---|--:|--:|\n"
        "| llm-stream | 9.88 | 101,000 |\n"
        "| a <system> | 281 |  |"
    )


def test_tables_stand_under_the_headings_of_the_document() -> None:
    """What one system alone has is a line of one table, and parts are not compared as systems."""
    figures = FIGURES | {"client gone": {"llm-stream": {"closed_ms": 0.6}}}

    sections = report.sections(SAID._replace(figures=figures))

    assert [*sections] == [
        "Side by side", "In full", "Of the service alone",
        "From the upstream's byte to the client's",
    ]  # fmt: skip
    assert (
        sections["Of the service alone"]
        == "| | |\n|---|---|\n| client gone | closed after ms 0.6 |"
    )


def test_a_report_comes_back_from_its_file(tmp_path: Path) -> None:
    """What was written as JSON gives the same tables, with date, machine and what failed."""
    file = tmp_path / "out.json"
    file.write_text(json.dumps(SAID._asdict()))

    said = report.markdown(report.read(file))

    assert said == report.markdown(SAID)
    assert said.startswith("Measured 2026-11-27 on 2 x x86_64, Linux, Python 3.11.7, medians of 3")
    assert said.endswith("Not measured: soak: lost")


def test_reports_of_one_place_become_one() -> None:
    """A soak that was measured by itself stands beside the rest, under the first one's date."""
    soaked = SAID._replace(measured="2026-11-28", figures={"soak": {"before": {"rss_mb": 50.0}}})

    said = report.merged([SAID, soaked])

    assert [*said.figures] == ["bursts", "waterfall", "soak"]
    assert said.measured == "2026-11-27"
    assert len(said.failures) == 2


def test_charts_are_svg_in_which_nothing_overlaps(tmp_path: Path) -> None:
    """Labels end before the bars begin, values begin behind them and end before the edge."""
    written = charts.write(FIGURES, tmp_path)

    assert [path.name for path in written] == ["bursts.svg", "waterfall.svg"]
    for path in written:
        root = ET.fromstring(path.read_text("utf-8"))
        width = float(root.get("width", "0"))
        bars = root.findall("{*}rect")[1:]
        labels, values = root.findall("{*}text")[1::2], root.findall("{*}text")[2::2]
        assert len(bars) == len(labels) == len(values) == 2
        for bar, label, value in zip(bars, labels, values, strict=True):
            left, wide = float(bar.get("x", "0")), float(bar.get("width", "0"))
            assert float(label.get("x", "0")) + len(label.text or "") * charts.LETTER <= left
            assert left + wide < float(value.get("x", "0"))
            assert float(value.get("x", "0")) + len(value.text or "") * charts.LETTER < width
            assert float(bar.get("y", "0")) + float(bar.get("height", "0")) <= float(
                root.get("height", "0")
            )


def test_a_chart_compares(tmp_path: Path) -> None:
    """Of one system alone nothing is drawn."""
    assert charts.write({"bursts": {"llm-stream": FIGURES["bursts"]["llm-stream"]}}, tmp_path) == []


def test_ours_is_told_from_others() -> None:
    """The service's bar has a colour of its own, and a name is text, whatever is in it."""
    drawn = charts.bars("x", {"llm-stream": 1.0, "a <system>": 2.0}, ("llm-stream",))

    assert re.findall(r'<rect class="(\w+)"', drawn) == ["card", "own", "bar"]
    assert "a &lt;system&gt;" in drawn


def test_a_waterfall_falls_on() -> None:
    """Each bar begins where the one before has ended."""
    root = ET.fromstring(charts.bars("x", {"a": 1.0, "b": 3.0}, falling=True))

    first, second = root.findall("{*}rect")[1:]
    end = float(first.get("x", "0")) + float(first.get("width", "0"))
    assert float(second.get("x", "0")) == pytest.approx(end, abs=0.2)
