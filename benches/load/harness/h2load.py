"""Load by h2load: requests as fast as the server answers them."""

import re
import statistics
import subprocess

from .outcome import Outcome
from .workloads import UPLOAD

CIPHER = "TLS_AES_128_GCM_SHA256"
TLS_AS_AGREED = ("TLSv1.3", CIPHER, "X25519")


class Requests:
    """A number of requests that are made all at once, connections and all."""

    def __init__(self, workload, peer, cores, requests):
        self.workload, self.requests = workload, requests
        self.times = peer.fixture.directory / "h2load.tsv"
        self.command = [
            "taskset", "-c", cores, "h2load",
            "-n", str(requests), "-c", str(min(workload.connections, requests)), "-m", str(workload.streams),
            "-t", "1", "--groups=X25519", f"--tls13-ciphers={CIPHER}",
            f"--connect-to=127.0.0.1:{peer.port}", f"--log-file={self.times}",
            *(["--h1"] if workload.protocol == "h1" else []),
            *(["-d", str(peer.fixture.upload)] if workload.path == UPLOAD else []),
            f"https://localhost:{peer.port}{workload.path}",
        ]

    def run(self, seconds=120):
        """Sends the requests; whatever is not a 2xx has failed."""
        self.times.unlink(missing_ok=True)
        try:
            said = subprocess.run(self.command, capture_output=True, text=True, timeout=seconds).stdout
        except subprocess.TimeoutExpired:
            return Outcome(0, self.requests, seconds, 0, remark=f"not finished in {seconds} s")
        return self._read(said)

    def close(self):
        """Nothing is left open."""

    def _read(self, said):
        """Reads the summary of h2load and its file of response times."""
        finished = re.search(r"finished in ([\d.]+)(us|ms|s|m)\b", said)
        good = re.search(r"status codes: (\d+) 2xx", said)
        if not finished or not good:
            return Outcome(0, self.requests, 0.0, 0, remark=f"h2load said: {said.strip()[-300:]}")
        seconds = float(finished[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}[finished[2]]
        remarks = []
        for fact in (*TLS_AS_AGREED, {"h1": "http/1.1", "h2": "h2"}[self.workload.protocol]):
            if not re.search(rf": {re.escape(fact)}\b", said):
                remarks.append(f"{fact} was not negotiated")
        latencies = [int(line.split("\t")[2]) / 1000 for line in self.times.read_text().splitlines()]
        if len(latencies) < 2:
            remarks.append("no response times")
            latencies = [0.0, 0.0]
        cuts = statistics.quantiles(latencies, n=1000, method="inclusive")
        p50, p99, p999 = (round(cuts[rank - 1], 3) for rank in (500, 990, 999))
        done = int(good[1])
        return Outcome(done, self.requests - done, seconds, self.requests, p50, p99, p999, "; ".join(remarks))
