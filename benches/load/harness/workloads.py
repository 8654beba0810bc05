"""The workloads, one entry each, and the load generator that drives them."""

import re
import statistics
import subprocess
from dataclasses import dataclass

TLS_AS_AGREED = ("TLSv1.3", "TLS_AES_128_GCM_SHA256", "X25519")


@dataclass(frozen=True)
class Workload:
    """Requests for one path over a fixed set of connections."""

    name: str
    path: str
    protocol: str       # "h1" or "h2"
    connections: int
    streams: int        # at once, on each connection
    requests: int       # in one run


@dataclass(frozen=True)
class Outcome:
    """What the load generator saw. Latency is that of a saturated server: compare, do not quote."""

    done: int
    failed: int
    seconds: float
    p50_ms: float
    p99_ms: float
    remark: str


WORKLOADS = [
    Workload("proxied-h1", "/api/user", "h1", connections=64, streams=1, requests=60_000),
    Workload("proxied-h2", "/api/user", "h2", connections=4, streams=32, requests=60_000),
    Workload("asset-1k-h1", "/assets/app-3f9a1c2b.js", "h1", connections=64, streams=1, requests=60_000),
    Workload("asset-1k-h2", "/assets/app-3f9a1c2b.js", "h2", connections=4, streams=32, requests=60_000),
]


def drive(workload, peer, cores, requests, seconds=120):
    """Sends the requests with h2load and returns the outcome; whatever is not a 2xx has failed."""
    times = peer.fixture.directory / "h2load.tsv"
    times.unlink(missing_ok=True)
    command = [
        "taskset", "-c", cores, "h2load",
        "-n", str(requests), "-c", str(workload.connections), "-m", str(workload.streams), "-t", "1",
        "--groups=X25519", f"--connect-to=127.0.0.1:{peer.port}", f"--log-file={times}",
        *(["--h1"] if workload.protocol == "h1" else []),
        f"https://localhost:{peer.port}{workload.path}",
    ]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=seconds).stdout
    except subprocess.TimeoutExpired:
        return Outcome(0, requests, seconds, 0.0, 0.0, f"not finished in {seconds} s")
    return read_outcome(said, times, workload, requests)


def read_outcome(said, times, workload, requests):
    """Reads the summary of h2load and its file of response times."""
    finished = re.search(r"finished in ([\d.]+)(us|ms|s|m)\b", said)
    good = re.search(r"status codes: (\d+) 2xx", said)
    if not finished or not good:
        return Outcome(0, requests, 0.0, 0.0, 0.0, f"h2load said: {said.strip()[-300:]}")
    seconds = float(finished[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}[finished[2]]
    remarks = []
    for fact in (*TLS_AS_AGREED, {"h1": "http/1.1", "h2": "h2"}[workload.protocol]):
        if not re.search(rf": {re.escape(fact)}\b", said):
            remarks.append(f"{fact} was not negotiated")
    latencies = [int(line.split("\t")[2]) / 1000 for line in times.read_text().splitlines()]
    if len(latencies) < 2:
        remarks.append("no response times")
        latencies = [0.0, 0.0]
    cuts = statistics.quantiles(latencies, n=100, method="inclusive")
    done = int(good[1])
    return Outcome(done, requests - done, seconds, round(cuts[49], 3), round(cuts[98], 3), "; ".join(remarks))
