"""Draws raw rows: one SVG a workload, with a bar for each peer and a whisker from the least to the most."""

import math
from dataclasses import dataclass
from html import escape

from .peers import KINDS
from .results import median, mode, select
from .workloads import WORKLOADS

WIDTH, NAMES, BARS, ROW, BAR = 760, 104, 452, 32, 18
CUT = 3.0       # a bar longer than so many times nginx's is cut, or the others could not be told apart
STYLE = """
  text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; font-size: 13px; fill: #24292f }
  .ground { fill: #ffffff } .name, .value, .word { stroke: #ffffff; stroke-width: 4px; paint-order: stroke }
  .title { font-size: 16px; font-weight: 600 } .note, .tick, .word { font-size: 11.5px; fill: #656d76 } .own { font-weight: 600 }
  .bar { fill: #a8b3c1 } .bar.own { fill: #2f6fdb } .grid { stroke: #d8dee4 } .base { stroke: #656d76; stroke-dasharray: 3 3 }
  .whisker { stroke: #24292f; stroke-width: 1.3 } .gap { stroke: #ffffff; stroke-width: 3 }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117 } .name, .value, .word { stroke: #0d1117 }
    text { fill: #e6edf3 } .note, .tick, .word { fill: #8d96a0 } .bar { fill: #5b6673 } .bar.own { fill: #5a94f2 }
    .grid { stroke: #30363d } .base { stroke: #8d96a0 } .whisker { stroke: #e6edf3 } .gap { stroke: #0d1117 }
  }
"""


@dataclass
class Bar:
    """What one peer came to."""

    peer: str
    value: float
    least: float
    most: float
    word: str = ""          # stands instead of a bar


@dataclass
class Panel:
    """Bars of one figure, on one scale."""

    caption: str
    unit: str
    bars: list


def draw(document, source, folder):
    """Writes one file for each workload of the document, and yields their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    titles = {workload.name: workload.title for workload in WORKLOADS}
    units = {workload.name: workload.unit for workload in WORKLOADS}
    for name in dict.fromkeys(row["workload"] for row in document["rows"]):
        group = [row for row in document["rows"] if row["workload"] == name]
        panels = [panel for panel in panels_of(group, units.get(name, "request")) if panel.bars]
        if panels:
            path = folder / f"{name}.svg"
            path.write_text(page(titles.get(name, name), footnote(document, source, group), panels))
            yield path


def panels_of(group, unit):
    """The figures of a workload: memory, or CPU time, and latency where there was a fixed rate."""
    if any(mode(row) == "idle" for row in group):
        return [panel(group, "idle", "idle_mib", "Memory of 10,000 idle connections, less is better", "MiB")]
    found = [panel(group, "saturated", "cpu_per_10k", f"CPU time per 10,000 {unit}s, less is better", "s")]
    rates = sorted({row["rate"] for row in group if mode(row) == "rate"})
    if rates:
        pace = " and ".join(f"{rate:,}" for rate in rates)
        late = panel(group, "rate", "p99_ms", f"Latency at {pace} {unit}s a second, 99th percentile", "ms")
        for bar in late.bars:
            rows = select(group, "rate", bar.peer)
            if not all(row["kept"] for row in rows):
                bar.word = f"falls behind, at {median(rows, 'rps'):,.0f} a second"
        found.append(late)
    return found


def panel(group, kind, field, caption, unit):
    """Medians and spread of one field."""
    bars = []
    for peer in dict.fromkeys(row["peer"] for row in group):
        values = [row[field] for row in select(group, kind, peer)]
        if values:
            bars.append(Bar(peer, median(select(group, kind, peer), field), min(values), max(values)))
    return Panel(caption, unit, bars)


def footnote(document, source, group):
    """Where the figures come from, in two lines."""
    machine = document["machine"]
    rounds = max(row["round"] for row in group)
    present = {row["peer"] for row in group}
    versions = [text for peer, text in document["versions"].items() if peer in present]
    return (f"Medians of {rounds} round{'s' * (rounds > 1)}, whiskers from least to most; beside the value its ratio to nginx. {source}",
            f"{', '.join(versions)}; {machine['processor']}, {document['date'][:10]}")


def page(title, notes, panels):
    """The whole picture."""
    parts, top = [f'<text class="title" x="16" y="30">{escape(title)}</text>'], 52
    for each in panels:
        drawn, top = panel_svg(each, top)
        parts += drawn
    for note in notes:
        parts.append(f'<text class="note" x="16" y="{top + 6}">{escape(note)}</text>')
        top += 17
    height = top + 6
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">\n'
            f'<style>{STYLE}</style>\n<rect class="ground" width="{WIDTH}" height="{height}" rx="6"/>\n' + "\n".join(parts) + "\n</svg>\n")


def panel_svg(panel, top):
    """One panel below the given line, and where the next may begin."""
    drawn = [bar for bar in panel.bars if not bar.word]
    base = next((bar.value for bar in drawn if bar.peer == "nginx"), None)
    # Bars that are much longer than nginx's are cut; every whisker of the others is shown whole.
    limit = max((bar.most for bar in drawn if not base or bar.value <= base * CUT), default=1.0)
    step = nice_step(limit / 4)
    limit = max(math.ceil(limit / step - 1e-9) * step, step)
    parts = [f'<text x="16" y="{top + 8}">{escape(panel.caption)}</text>']
    first = top + 22
    last = first + ROW * len(panel.bars)
    for number in range(round(limit / step) + 1):
        x = place(number * step, limit)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{first}" y2="{last}"/>')
        unit = f" {panel.unit}" if number * step == 0 else ""
        parts.append(f'<text class="tick" x="{x:.1f}" y="{last + 16}" text-anchor="middle">'
                     f"{number * step:.6g}{unit}</text>")
    if base:
        x = place(base, limit)
        parts.append(f'<line class="base" x1="{x:.1f}" x2="{x:.1f}" y1="{first}" y2="{last}"/>')
    for number, bar in enumerate(panel.bars):
        parts += bar_svg(bar, first + ROW * number + ROW / 2, limit, base, panel.unit)
    return parts, last + 42


def bar_svg(bar, middle, limit, base, unit):
    """The row of one peer: name, bar, whisker, value."""
    own = " own" if bar.peer == "portcullis" else ""
    title = next((kind.title for kind in KINDS if kind.name == bar.peer), bar.peer)
    parts = [f'<text class="name{own}" x="{NAMES - 8}" y="{middle + 4.5}" text-anchor="end">{escape(title)}</text>']
    if bar.word:
        parts.append(f'<text class="word" x="{NAMES + 8}" y="{middle + 4.5}">{escape(bar.word)}</text>')
        return parts
    end = place(min(bar.value, limit), limit)
    parts.append(f'<rect class="bar{own}" x="{NAMES}" y="{middle - BAR / 2}" width="{end - NAMES:.1f}" '
                 f'height="{BAR}" rx="2"/>')
    if bar.most <= limit:
        low, high = place(bar.least, limit), place(bar.most, limit)
        parts.append(f'<path class="whisker" fill="none" d="M{low:.1f} {middle - 4}v8m0 -4H{high:.1f}m0 -4v8"/>')
        end = max(end, high)
    elif bar.value > limit:
        parts.append(f'<path class="gap" d="M{end - 22:.1f} {middle + 11}l7 -22m5 22l7 -22"/>')
    ratio = f" ({bar.value / base:.2f})" if base else ""
    parts.append(f'<text class="value{own}" x="{end + 8:.1f}" y="{middle + 4.5}">'
                 f"{digits(bar.value)} {unit}{ratio}</text>")
    return parts


def place(value, limit):
    """Where a value stands, from left."""
    return NAMES + BARS * value / limit


def nice_step(rough):
    """The next of 1, 2, 5, 10, 20, 50 and so on."""
    power = 10 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def digits(value):
    """Three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.{max(2 - math.floor(math.log10(value)), 0)}f}" if value else "0"
