"""Load by the driver beside this folder: what h2load cannot do. It prepares, waits for a word, then runs."""

import json
import selectors
import shutil
import subprocess
import sys
from pathlib import Path

from .outcome import Outcome
from .process import Died

CRATE = Path(__file__).resolve().parent.parent / "driver"
TARGET = CRATE.parent.parent.parent / "target/load-driver"
BINARY = TARGET / "release/load-driver"


def build():
    """Compiles the driver when its sources are newer than it, and returns its path."""
    if not shutil.which("cargo"):
        if BINARY.exists():
            return BINARY
        raise Died("cargo is needed to build benches/load/driver")
    command = ["cargo", "build", "--release", "--locked", "--quiet", "--manifest-path", str(CRATE / "Cargo.toml"),
               "--target-dir", str(TARGET)]
    if not BINARY.exists():
        print("building benches/load/driver", file=sys.stderr)
    if subprocess.run(command).returncode:
        raise Died("benches/load/driver does not build")
    return BINARY


class Load:
    """One run of one of the driver's modes."""

    def __init__(self, cores, mode, **settings):
        words = ["taskset", "-c", cores, str(BINARY), mode]
        for key, value in settings.items():
            words += [f"--{key}"] if value is True else [f"--{key}", str(value)]
        self.mode = mode
        self.child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True)
        try:
            if self._line(60) != "ready":
                raise Died(f"driver, {mode}: {self._complaint()}")
        except BaseException:
            self.close()
            raise

    def run(self, seconds=120):
        """Gives the word, and returns what came of it."""
        self.child.stdin.write("go\n")
        self.child.stdin.flush()
        line = self._line(seconds)
        if not line:
            return Outcome(0, 1, seconds, 0, remark=f"driver, {self.mode}: {self._complaint()}")
        said = json.loads(line)
        remarks = [said.pop("fault")]
        known = {name: said.pop(name) for name in ("done", "failed", "seconds")}
        times = {name: round(said.pop(name), 3) for name in ("p50_ms", "p99_ms", "p999_ms")}
        return Outcome(**known, **times, lines=said.pop("requests"), remark="".join(remarks), more=said)

    def close(self):
        """Ends the driver, and with it its connections."""
        self.child.kill()
        self.child.wait()
        for pipe in (self.child.stdin, self.child.stdout, self.child.stderr):
            pipe.close()

    def _line(self, seconds):
        with selectors.DefaultSelector() as selector:
            selector.register(self.child.stdout, selectors.EVENT_READ)
            if not selector.select(seconds):
                return ""
        return self.child.stdout.readline().strip()

    def _complaint(self):
        """What it said on standard error, once it has ended; a driver that hangs is ended."""
        self.child.kill()
        return self.child.stderr.read().strip()[-300:] or "no answer"


def load_of(workload, peer, cores, requests):
    """The load that a workload names."""
    common = {"port": peer.port, "certificate": peer.certificate, "path": workload.path,
              "connections": min(workload.connections, requests)}
    if workload.tool == "websocket":
        return Load(cores, "websocket", count=requests, **common)
    size = len(peer.fixture.bodies[workload.path])
    if workload.tool == "idle":
        return Load(cores, "idle", bytes=size, **common)
    resume = {"resume": True} if workload.resume else {}
    return Load(cores, "handshake", count=requests, bytes=size, **resume, **common)


def rate_of(workload, peer, cores, rate, seconds):
    """An open loop of the workload's requests at a fixed rate."""
    return Load(cores, "rate", rate=rate, count=int(rate * seconds), port=peer.port, path=workload.path,
                certificate=peer.certificate, connections=workload.connections, streams=workload.streams,
                protocol=workload.protocol, bytes=len(peer.fixture.bodies[workload.path]))
