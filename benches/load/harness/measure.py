"""One run of one workload against one peer, and the raw row that it leaves."""

import time

from . import driver, h2load
from .process import busy_seconds, parse_cores

KEPT = 0.97         # share of a rate that has to be reached for it to count as kept
SETTLE = 1.5        # seconds until memory that was freed has been given back


def requests_of(workload, options):
    """How many make a run: as said, else a quarter of the workload's own for a quick try, else all of them."""
    return options.requests or (workload.requests // 4 if options.quick else workload.requests)


def load_for(workload, peer, options, requests):
    """The load of a workload, prepared."""
    make = h2load.Requests if workload.tool == "h2load" else driver.load_of
    return make(workload, peer, options.load_cores, requests)


def saturated(workload, peer, number, options):
    """As fast as the peer can."""
    load = load_for(workload, peer, options, requests_of(workload, options))
    row, outcome = watched(workload, peer, number, options, load)
    return {**row, "mode": "saturated", **times(outcome)}


def at_rate(workload, peer, number, options, rate):
    """At a fixed rate, the same for every peer. One that cannot keep it is shown, and nothing is spoilt."""
    load = driver.rate_of(workload, peer, options.load_cores, rate, options.rate_seconds)
    row, outcome = watched(workload, peer, number, options, load)
    kept = not outcome.more.get("late") and row["rps"] > KEPT * rate
    return {**row, "mode": "rate", "rate": rate, "kept": kept, **times(outcome)}


def idle(workload, peer, number, options):
    """Memory of connections that do nothing. The peer must be a new one."""
    peer.check(workload.path)
    before = peer.process.memory_mib()
    load = driver.load_of(workload, peer, options.load_cores, requests_of(workload, options))
    try:
        time.sleep(SETTLE)
        memory = peer.process.memory_mib()
        outcome = load.run()
    finally:
        load.close()
    grown = (memory - before) / max(outcome.lines, 1) * 10_000
    return {
        "workload": workload.name, "peer": peer.name, "round": number, "mode": "idle",
        "requests": outcome.lines, "failed": outcome.failed, "ok": not outcome.failed and not outcome.remark,
        "seconds": round(outcome.seconds, 3), "memory_before_mib": round(before, 1),
        "memory_mib": round(memory, 1), "idle_mib": round(grown, 1), "remark": outcome.remark,
    }


def watched(workload, peer, number, options, load):
    """Runs a prepared load, and reads the peer's clocks before and after."""
    cores = parse_cores(peer.cores)
    alone = not cores & parse_cores(options.load_cores)
    try:
        start, busy, before = time.monotonic(), busy_seconds(cores), peer.process.cpu_seconds()
        threads = peer.process.thread_ticks()
        outcome = load.run()
        lines = peer.drain_log(outcome.lines)           # so that writing the log is paid for as well
        user, system = (now - then for now, then in zip(peer.process.cpu_seconds(), before))
        cpu = user + system
        foreign = (busy_seconds(cores) - busy - cpu) / (time.monotonic() - start) / len(cores)
    finally:
        load.close()
    if len(cores) > 1:
        outcome.more["busiest"] = busiest(threads, peer.process.thread_ticks())
    remarks = [outcome.remark] if outcome.remark else []
    if outcome.failed:
        remarks.append(f"{outcome.failed} of {outcome.done + outcome.failed} failed")
    if abs(lines - outcome.lines) > outcome.lines * peer.kind.loses and not outcome.more.get("late"):
        remarks.append(f"{lines} of {outcome.lines} in the access log")
    row = {
        "workload": workload.name, "peer": peer.name, "round": number, "mode": "",
        "requests": outcome.done + outcome.failed, "failed": outcome.failed, "ok": not remarks,
        "cpu_seconds": round(cpu, 2), "cpu_per_10k": round(cpu / max(outcome.done, 1) * 10_000, 4),
        "system_per_10k": round(system / max(outcome.done, 1) * 10_000, 4),
        "seconds": round(outcome.seconds, 3),
        "rps": round(outcome.done / outcome.seconds, 1) if outcome.seconds else 0,
        "memory_mib": round(peer.process.memory_mib(), 1),
        "foreign": round(max(foreign, 0), 3) if alone else None,
        "remark": "; ".join(remarks), **outcome.more,
    }
    return row, outcome


def busiest(before, after):
    """The share of the thread that worked most: with two workers and even work, a half."""
    spent = [ticks - before.get(thread, 0) for thread, ticks in after.items()]
    return round(max(spent, default=0) / max(sum(spent), 1), 3)


def times(outcome):
    """The latencies of a row."""
    return {"p50_ms": outcome.p50_ms, "p99_ms": outcome.p99_ms, "p999_ms": outcome.p999_ms}
