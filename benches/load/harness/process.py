"""Processes: started pinned to a core, measured as a tree, ended by id."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


class Died(Exception):
    """A process ended, or never answered, when it should have served."""


class Process:
    """A long-running process and everything it starts."""

    def __init__(self, name, command, cores, output, log=None):
        """Both outputs go into the file, or standard output into an own log."""
        self.name = name
        self.output = Path(output)
        with self.output.open("wb") as sink, open(log or os.devnull, "ab") as lines:
            self.child = subprocess.Popen(
                ["taskset", "-c", cores, *command],
                stdin=subprocess.DEVNULL, stdout=lines if log else sink, stderr=sink,
            )

    def wait_for_port(self, port, seconds=10):
        """Returns once the port accepts a connection."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.child.poll() is not None:
                raise Died(f"{self.name} ended with {self.child.returncode}:\n{self.last_words()}")
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise Died(f"{self.name} does not listen on port {port}:\n{self.last_words()}")

    def last_words(self):
        """The end of what the process printed."""
        return "\n".join(self.output.read_text(errors="replace").splitlines()[-20:])

    def cpu_seconds(self):
        """User and system time of the whole tree, with children that have ended already."""
        if self.child.poll() is not None:
            raise Died(f"{self.name} ended with {self.child.returncode}:\n{self.last_words()}")
        user = system = 0
        for stat in tree(self.child.pid).values():
            times = [int(field) for field in stat[11:15]]       # utime, stime, cutime, cstime
            user, system = user + times[0] + times[2], system + times[1] + times[3]
        return user / TICKS, system / TICKS

    def thread_ticks(self):
        """Ticks of each thread of the whole tree."""
        ticks = {}
        for pid in tree(self.child.pid):
            for path in Path(f"/proc/{pid}/task").glob("*/stat"):
                try:
                    fields = path.read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                ticks[path.parent.name] = int(fields[11]) + int(fields[12])
        return ticks

    def memory_mib(self):
        """Proportional resident memory of the whole tree: shared pages are counted once."""
        total = 0
        for pid in tree(self.child.pid):
            try:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            except OSError:
                continue
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return total / 1024

    def stop(self, seconds=10):
        """Asks the process to end; after a while ends it and its children, each by its id."""
        family = list(tree(self.child.pid))
        self.child.terminate()
        try:
            self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            for pid in family:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.child.wait()


def tree(root):
    """The process and its descendants: id to the fields of /proc/ID/stat after the name."""
    stats = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                text = Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            stats[int(entry)] = text.rpartition(")")[2].split()
    family, grew = {root}, True
    while grew:
        young = {pid for pid, stat in stats.items() if int(stat[1]) in family} - family
        family |= young
        grew = bool(young)
    return {pid: stats[pid] for pid in family if pid in stats}


def busy_seconds(cores):
    """Time that the cores spent on anything at all, time stolen by the host included."""
    ticks = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cores:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
            ticks += user + nice + system + irq + softirq + steal
    return ticks / TICKS


def parse_cores(text):
    """The set of cores in taskset's notation: 1, or 0,2, or 0-3."""
    cores = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        cores |= set(range(int(first), int(last or first) + 1))
    return cores


def free_port():
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
