"""Who is measured: finds the peers, and keeps those running that the workload at hand needs."""

import sys

from . import peers
from .peer import Peer
from .process import parse_cores


class Lineup:
    """Every peer that was asked for and can be found."""

    def __init__(self, options, fixture):
        self.options, self.fixture = options, fixture
        self.found, self.versions = [], {}
        self.shape, self.running = None, []
        for kind in peers.KINDS:
            if kind.name in options.peer:
                self._find(kind)

    def of(self, workload):
        """Running peers of the shape that the workload asks for, without those that cannot do it."""
        shape = (workload.certificate, self.workers(workload))
        if shape != self.shape:
            self.stop()
            self.shape = shape
            for kind, binary in self.found:
                self.running.append(self.start(kind, binary, workload))
        able = []
        for peer in self.running:
            if workload.path in peer.kind.cannot:
                reason = peer.kind.cannot[workload.path]
                print(f"SKIPPED: {workload.name} by {peer.name}: {reason}", file=sys.stderr)
            else:
                able.append(peer)
        return able

    def start(self, kind, binary, workload):
        """One instance more."""
        workers = self.workers(workload)
        cores = server_cores(self.options, workers)
        return Peer(kind, binary, self.fixture, cores, workers, workload.certificate)

    def again(self, peer, workload):
        """A new instance of a peer's kind, which has served nobody yet."""
        binary = next(binary for kind, binary in self.found if kind is peer.kind)
        return self.start(peer.kind, binary, workload)

    def workers(self, workload):
        """How many workers each peer has for it."""
        return workload.workers or self.options.workers

    def stop(self):
        """Ends all that run."""
        for peer in self.running:
            peer.process.stop()
        self.running.clear()

    def _find(self, kind):
        given = self.options.binary.get(kind.name)
        binary = peers.find_binary(kind.name, given)
        if binary:
            self.found.append((kind, binary))
            self.versions[kind.name] = peers.version(kind, binary)
        else:
            place = given or "on the PATH or in benches/load/.venv (benches/load/run --install)"
            print(f"SKIPPED: {kind.name}: no executable {place}", file=sys.stderr)


def server_cores(options, workers):
    """The cores of the peers. More workers than cores get cores that nobody uses, else those of the load."""
    cores, load = parse_cores(options.server_cores), parse_cores(options.load_cores)
    spare = sorted(options.all_cores - cores - load) + sorted(load - cores)
    return ",".join(str(core) for core in [*sorted(cores), *spare[:max(workers - len(cores), 0)]])
