"""Figures as a table of Markdown, and as SVG charts."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Final

Figures = Mapping[str, Mapping[str, Mapping[str, float]]]

BAR: Final = 22
LABEL: Final = 130
WIDTH: Final = 640


def number(value: float) -> str:
    """A figure with three digits that count."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def table(figures: Figures) -> str:
    """One table a scenario, systems side by side."""
    parts = []
    for what, systems in figures.items():
        names = list(dict.fromkeys(name for found in systems.values() for name in found))
        lines = [f"| {what} | " + " | ".join(name.replace("_", " ") for name in names) + " |"]
        lines.append("|---|" + "--:|" * len(names))
        for label, found in systems.items():
            cells = [number(found[name]) if name in found else "" for name in names]
            lines.append(f"| {label} | " + " | ".join(cells) + " |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def chart(title: str, values: Mapping[str, float]) -> str:
    """Horizontal bars, the longest as wide as there is room; readable in light and dark."""
    most = max(values.values()) or 1.0
    height = BAR * len(values) + 34
    rows = [
        f'<text x="0" y="16" font-weight="600">{escape(title)}</text>',
    ]
    for place, (label, value) in enumerate(values.items()):
        top = 30 + BAR * place
        width = max(1.0, (WIDTH - LABEL - 90) * value / most)
        fill = "#3b6fd4" if label == "llm-stream" else "#8a8f98"
        rows += [
            f'<text x="0" y="{top + 13}">{escape(label)}</text>',
            f'<rect x="{LABEL}" y="{top}" width="{width:.1f}" height="16" rx="2" fill="{fill}"/>',
            f'<text x="{LABEL + width + 6:.1f}" y="{top + 13}">{number(value)}</text>',
        ]
    body = "\n".join(rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="13" '
        f'fill="#8a8f98">\n{body}\n</svg>\n'
    )


def charts(figures: Figures, folder: Path) -> None:
    """A chart for every figure that more than one system has."""
    folder.mkdir(parents=True, exist_ok=True)
    for what, systems in figures.items():
        names = dict.fromkeys(name for found in systems.values() for name in found)
        for name in names:
            values = {label: found[name] for label, found in systems.items() if name in found}
            if len(values) > 1:
                title = f"{what}: {name.replace('_', ' ')}"
                file = "-".join(f"{what} {name}".replace(",", "").replace("_", " ").split())
                (folder / f"{file}.svg").write_text(chart(title, values))
