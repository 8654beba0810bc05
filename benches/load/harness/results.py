"""Results: raw rows in a file that is kept, and the table made from them."""

import json
import os
import platform
import statistics
import subprocess
from pathlib import Path


def machine():
    """The machine, in the words that a reader of the figures needs."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")
    return {"processor": model, "cores": os.cpu_count(), "kernel": platform.release(),
            "architecture": platform.machine()}


def revision(root):
    """The commit that the tree stands on, marked when sources were changed since."""
    def git(*words):
        return subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True).stdout.strip()
    commit = git("rev-parse", "--short", "HEAD") or "unknown"
    return commit + ("+changes" if git("status", "--porcelain", "--", "src", "Cargo.toml", "Cargo.lock") else "")


def write(path, head, rows):
    """Writes one JSON document with one row a line, so that two of them can be compared by eye."""
    body = ",\n".join("    " + json.dumps(row) for row in rows)
    text = json.dumps(head, indent=2)[:-2] + f',\n  "rows": [\n{body}\n  ]\n}}\n'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def read(path):
    """The document that `write` made."""
    return json.loads(Path(path).read_text())


def line(row):
    """What is said of a run as it ends."""
    words = f"{row['workload']:17} round {row['round']} {row['peer']:11}"
    if row["mode"] == "idle":
        return f"{words} {row['idle_mib']:8.1f} MiB per 10,000 connections  {row['remark']}"
    if row["mode"] == "rate":
        late = "" if row["kept"] else f"only {row['rps']:,.0f} of "
        return (f"{words} {late}{row['rate']:,}/s: p50 {row['p50_ms']:.2f}, p99 {row['p99_ms']:.2f}, "
                f"p99.9 {row['p999_ms']:.2f} ms  {row['remark']}")
    foreign = "" if row["foreign"] is None else f"{row['foreign']:.0%} foreign"
    return f"{words} {row['cpu_per_10k']:8.3f} s/10k {row['rps']:9,.0f}/s {foreign} {row['remark']}"


COLUMNS = ("peer", "CPU s per 10,000", "least to most", "of it kernel", "ratio to nginx", "least to most", "per second",
           "p50 / p99 / p99.9 ms at the rate", "MiB", "foreign", "failures")


def table(document):
    """Markdown: for each workload medians, spread, and the ratio to nginx."""
    rows, parts = document["rows"], []
    for workload in dict.fromkeys(row["workload"] for row in rows):
        group = [row for row in rows if row["workload"] == workload]
        rates = {row["rate"] for row in group if mode(row) == "rate"}
        rated = f", open loop at {', '.join(f'{rate:,}' for rate in sorted(rates))} a second" if rates else ""
        parts.append(f"**{workload}**{rated}\n")
        if any(mode(row) == "idle" for row in group):
            parts.append(idle_table(group))
        else:
            parts += ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
            base = {row["round"]: row["cpu_per_10k"] for row in select(group, "saturated", "nginx")}
            for peer in dict.fromkeys(row["peer"] for row in group):
                parts.append(table_line(peer, group, base))
            parts += pairs_table(group, [row for row in rows if f"{row['workload']}-2w" == workload])
        parts.append("")
    return "\n".join(parts)


def tables(document):
    """Markdown: all that is known at a glance, and then in full."""
    return overview(document) + "\n\n" + table(document)


def overview(document):
    """Markdown: one line a workload, nginx's figure and the ratio of each other peer to it."""
    rows = document["rows"]
    others = [peer for peer in dict.fromkeys(row["peer"] for row in rows) if peer != "nginx"]
    lines = ["| workload | nginx | " + " | ".join(others) + " |", "|---" * (len(others) + 2) + "|"]
    for workload in dict.fromkeys(row["workload"] for row in rows):
        group = [row for row in rows if row["workload"] == workload]
        kind, field, unit = "saturated", "cpu_per_10k", "s"
        if any(mode(row) == "idle" for row in group):
            kind, field, unit = "idle", "idle_mib", "MiB"
        base = median(select(group, kind, "nginx"), field)
        cells = [ratio_cell(median(select(group, kind, peer), field), base) for peer in others]
        known = "-" if base is None else f"{base:.3g} {unit}"
        lines.append(f"| `{workload}` | {known} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def ratio_cell(figure, base):
    """A ratio, or a dash where a peer did not do the workload."""
    return f"{figure / base:.2f}" if figure and base else "-"


def mode(row):
    """How a row was measured. Old files hold saturated runs alone."""
    return row.get("mode", "saturated")


def select(rows, kind, peer):
    """The runs of a peer that count."""
    return [row for row in rows if mode(row) == kind and row["peer"] == peer and row["ok"]]


def median(rows, field):
    """The median of a field, or None without a row that has it."""
    values = [row[field] for row in rows if row.get(field) is not None]
    return statistics.median(values) if values else None


def spread(values, form):
    """The least and the most."""
    return f"{min(values):{form}} to {max(values):{form}}"


def table_line(peer, group, base):
    """One line of the table. Only runs without a failure count; the others are shown as failures."""
    mine = [row for row in group if row["peer"] == peer]
    spoilt = sum(not row["ok"] for row in mine)
    note = f"{sum(row['failed'] for row in mine)}" + (f" ({spoilt} of {len(mine)} runs spoilt)" if spoilt else "")
    good = select(group, "saturated", peer)
    if not good:
        return f"| {peer} | " + "- | " * (len(COLUMNS) - 2) + f"{note} |"
    cpu = [row["cpu_per_10k"] for row in good]
    ratio, ratios = "-", "-"
    pairs = [row["cpu_per_10k"] / base[row["round"]] for row in good if base.get(row["round"])]
    if pairs:
        ratio = f"**{statistics.median(cpu) / statistics.median(base.values()):.2f}**"
        ratios = spread(pairs, ".2f")
    foreign, kernel = median(good, "foreign"), median(good, "system_per_10k")
    cells = [peer, f"{statistics.median(cpu):.3f}", spread(cpu, ".3f"),
             "-" if kernel is None else f"{kernel:.3f}", ratio, ratios, f"{median(good, 'rps'):,.0f}",
             latency(select(group, "rate", peer)), f"{median(good, 'memory_mib'):.0f}",
             "-" if foreign is None else f"{foreign:.0%}", note]
    return "| " + " | ".join(cells) + " |"


def pairs_table(group, alone):
    """For two workers: the price of a request against one worker, and how evenly the two worked."""
    if not alone:
        return []
    lines = ["", "| peer | CPU per request, one worker = 1.00 | share of the busier worker |", "|---|---|---|"]
    for peer in dict.fromkeys(row["peer"] for row in group):
        two, one = select(group, "saturated", peer), select(alone, "saturated", peer)
        if two and one:
            ratio = median(two, "cpu_per_10k") / median(one, "cpu_per_10k")
            lines.append(f"| {peer} | {ratio:.2f} | {median(two, 'busiest'):.0%} |")
    return lines


def latency(rows):
    """Latency of the open loop; a peer that did not keep the rate is said to have fallen behind."""
    if not rows:
        return "-"
    if not all(row["kept"] for row in rows):
        return f"falls behind: {median(rows, 'rps'):,.0f} a second"
    return " / ".join(f"{median(rows, field):.2f}" for field in ("p50_ms", "p99_ms", "p999_ms"))


def idle_table(group):
    """Memory of idle connections."""
    lines = ["| peer | MiB per 10,000 connections | least to most | MiB before | ratio to nginx | failures |",
             "|---|---|---|---|---|---|"]
    base = median(select(group, "idle", "nginx"), "idle_mib")
    for peer in dict.fromkeys(row["peer"] for row in group):
        good = select(group, "idle", peer)
        failed = sum(row["failed"] for row in group if row["peer"] == peer)
        if not good:
            lines.append(f"| {peer} | - | - | - | - | {failed} |")
            continue
        grown = median(good, "idle_mib")
        ratio = f"**{grown / base:.2f}**" if base else "-"
        lines.append(f"| {peer} | {grown:.0f} | {spread([row['idle_mib'] for row in good], '.0f')} "
                     f"| {median(good, 'memory_before_mib'):.0f} | {ratio} | {failed} |")
    return "\n".join(lines)
