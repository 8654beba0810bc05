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


def table(document):
    """A Markdown table: medians, spread, and the ratio to the first peer of the run, nginx."""
    rows, lines = document["rows"], [
        "| workload | peer | CPU s per 10,000 | least to most | ratio to nginx | least to most | req/s | p50 / p99 ms | MiB | foreign | failures |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for workload in dict.fromkeys(row["workload"] for row in rows):
        group = [row for row in rows if row["workload"] == workload]
        base = {row["round"]: row["cpu_per_10k"] for row in group if row["peer"] == "nginx" and row["ok"]}
        for peer in dict.fromkeys(row["peer"] for row in group):
            lines.append(table_line(workload, peer, [row for row in group if row["peer"] == peer], base))
    return "\n".join(lines)


def table_line(workload, peer, rows, base):
    """One line of the table. Only runs without a failure count; the others are shown as failures."""
    good = [row for row in rows if row["ok"]]
    failures = sum(row["failed"] for row in rows)
    spoilt = len(rows) - len(good)
    note = f"{failures}" + (f" ({spoilt} of {len(rows)} runs spoilt)" if spoilt else "")
    if not good:
        return f"| {workload} | {peer} | - | - | - | - | - | - | - | - | {note} |"

    def median(field):
        return statistics.median(row[field] for row in good)

    cpu = [row["cpu_per_10k"] for row in good]
    ratio, spread = "-", "-"
    pairs = [row["cpu_per_10k"] / base[row["round"]] for row in good if base.get(row["round"])]
    if pairs:
        ratio = f"**{statistics.median(cpu) / statistics.median(base.values()):.2f}**"
        spread = f"{min(pairs):.2f} to {max(pairs):.2f}"
    return (f"| {workload} | {peer} | {statistics.median(cpu):.3f} | {min(cpu):.3f} to {max(cpu):.3f} "
            f"| {ratio} | {spread} | {median('rps'):,.0f} | {median('p50_ms'):.1f} / {median('p99_ms'):.1f} "
            f"| {median('memory_mib'):.0f} | {median('foreign'):.0%} | {note} |")
