"""Figures as SVG: few charts, small, readable in light and dark, without a font or a script."""

from collections.abc import Mapping
from html import escape
from itertools import accumulate
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.speed.report import Figures, number

WIDTH: Final = 680
LETTERS: Final = 34
"""Of a label at most."""

VALUE: Final = 80
EDGE: Final = 16
ROW: Final = 26
LETTER: Final = 7.2
"""Width of a letter at most, about."""

STYLE: Final = (
    "rect.card{fill:#fff;stroke:#d5d9e0}text{fill:#1f2530}rect.bar{fill:#8b95a7}"
    "rect.own{fill:#0b6b64}"
    "@media(prefers-color-scheme:dark){rect.card{fill:#161a20;stroke:#3a414d}text{fill:#e6e9ee}"
    "rect.bar{fill:#7c8698}rect.own{fill:#3fb8ab}}"
)


class Chart(NamedTuple):
    """What is drawn.

    Attributes:
        file: its name, without a suffix.
        title: what is to be seen, with the unit.
        scenario: of the figures.
        figure: of each row.
        own: the rows that are drawn in colour; (): all.
        left_out: rows that are no bar.
        falling: whether each bar begins where the one before has ended.
    """

    file: str
    title: str
    scenario: str
    figure: str
    own: tuple[str, ...] = ("llm-stream",)
    left_out: tuple[str, ...] = ()
    falling: bool = False


CHARTS: Final = (
    Chart("bursts", "CPU microseconds a token, in bursts (less is better)", "bursts",
          "cpu_us_per_token"),
    Chart("token-by-token", "Tokens a second, one upstream send a token", "token by token",
          "tokens_per_second"),
    Chart("calls", "Short JSON calls a second", "JSON calls", "calls_per_second"),
    Chart("calls-the-same", "The same JSON call again and again, a second",
          "JSON calls, the same", "calls_per_second"),
    Chart("first-token", "First token of a stream that is alone, ms (less is better)",
          "first token, alone", "first_ms"),
    Chart("streams-at-once", "Tokens a second of one core, by streams at once",
          "streams at once", "tokens_per_cpu_second", ()),
    Chart("tokens-a-run", "CPU microseconds a token, by tokens of a run", "tokens a run",
          "cpu_us_per_token", ()),
    Chart("waterfall", "From upstream byte to client byte, CPU us a token in bursts",
          "waterfall", "bursts_us", (), ("together",), falling=True),
)  # fmt: skip


def bars(
    title: str, values: Mapping[str, float], own: tuple[str, ...] = (), *, falling: bool = False
) -> str:
    """Horizontal bars, as wide as there is room."""
    longest = max(min(len(label), LETTERS) for label in values)
    left = EDGE + longest * LETTER + EDGE
    # Where each begins and ends; what is measured by differences may be less than nothing.
    ends = list(accumulate(values.values())) if falling else list(values.values())
    begins = [0.0, *ends[:-1]] if falling else [0.0] * len(ends)
    scale = (WIDTH - EDGE - VALUE - left) / (max([*ends, 0.0]) or 1.0)
    height = ROW * len(values) + 58
    rows = [
        f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
        f'<text x="{EDGE}" y="30" font-weight="600">{escape(title)}</text>',
    ]
    for place, (label, value) in enumerate(values.items()):
        top = 46 + ROW * place
        start = left + scale * max(0.0, min(begins[place], ends[place]))
        wide = max(1.0, scale * abs(value))
        kind = "own" if not own or label in own else "bar"
        rows += [
            f'<text x="{EDGE}" y="{top + 14}">{escape(shortened(label))}</text>',
            f'<rect class="{kind}" x="{start:.1f}" y="{top}" width="{wide:.1f}" height="18"/>',
            f'<text x="{start + wide + 8:.1f}" y="{top + 14}">{number(value)}</text>',
        ]
    body = "\n".join(rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" aria-label="{escape(title)}" '
        f'font-family="system-ui, sans-serif" font-size="13">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n{body}\n</svg>\n"
    )


def shortened(label: str) -> str:
    """As much of a label as there is room for."""
    return label if len(label) <= LETTERS else f"{label[: LETTERS - 1].rstrip()}…"


def write(figures: Figures, folder: Path) -> list[Path]:
    """The charts of which there are figures."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for chart in CHARTS:
        values = {
            label: found[chart.figure]
            for label, found in figures.get(chart.scenario, {}).items()
            if chart.figure in found and label not in chart.left_out
        }
        if len(values) < 2:
            continue
        path = folder / f"{chart.file}.svg"
        path.write_text(bars(chart.title, values, chart.own, falling=chart.falling), "utf-8")
        written.append(path)
    return written
