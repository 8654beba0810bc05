"""The proxies that are compared: how each is found, started, and checked for doing all its work."""

import http.client
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .process import Died, Process, free_port

REQUIRED_HEADERS = (
    "strict-transport-security", "x-content-type-options", "x-frame-options", "referrer-policy",
    "content-security-policy", "x-request-id",
)


@dataclass(frozen=True)
class Kind:
    """A kind of proxy. `command` and `version` hold {binary} and {config}."""

    name: str
    template: str
    command: tuple
    version: tuple


KINDS = [
    Kind("nginx", "nginx.conf", ("{binary}", "-c", "{config}"), ("{binary}", "-v")),
    Kind("portcullis", "portcullis.toml", ("{binary}", "run", "--config", "{config}"),
         ("{binary}", "--version")),
]


class Peer:
    """A running proxy of some kind."""

    def __init__(self, kind, binary, fixture, cores, workers):
        self.name = kind.name
        self.fixture = fixture
        self.port, self.admin = free_port(), free_port()
        self.log = fixture.directory / f"{kind.name}-access.log"
        config = fixture.fill(kind.template, f"run-{kind.template}", PORT=self.port,
                              ADMIN=self.admin, LOG=self.log, WORKERS=workers)
        words = [word.format(binary=binary, config=config) for word in kind.command]
        self.process = Process(kind.name, words, cores, fixture.directory / f"{kind.name}.out")
        try:
            self.process.wait_for_port(self.port)
            self._scrape()
        except BaseException:
            self.process.stop()
            raise

    def check(self, path):
        """Fetches the path once and compares all that the comparison depends on."""
        status, headers, body = self._fetch(path)
        if status != 200 or body != self.fixture.bodies[path]:
            raise Died(f"{self.name} answers {path} with {status} and {len(body)} bytes: {body[:200]!r}")
        missing = [name for name in REQUIRED_HEADERS if name not in headers]
        if missing:
            raise Died(f"{self.name} sends {path} without {', '.join(missing)}")
        self.drain_log(1)

    def drain_log(self, expected, seconds=4):
        """Waits until the access log holds the lines, empties it, and returns how many there were."""
        deadline = time.monotonic() + seconds
        lines = self._log_lines()
        while lines < expected and time.monotonic() < deadline:
            time.sleep(0.1)
            lines = self._log_lines()
        if self.log.exists():
            os.truncate(self.log, 0)
        return lines

    def _log_lines(self):
        if not self.log.exists():
            return 0
        with self.log.open("rb") as log:
            return sum(block.count(b"\n") for block in iter(lambda: log.read(1 << 20), b""))

    def _fetch(self, path):
        context = ssl.create_default_context(cafile=self.fixture.names["CERT"])
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        with context.wrap_socket(raw, server_hostname="localhost") as stream:
            request = f"GET {path} HTTP/1.1\r\nHost: localhost:{self.port}\r\nConnection: close\r\n\r\n"
            stream.sendall(request.encode())
            response = http.client.HTTPResponse(stream)
            response.begin()
            headers = {name.lower() for name, _ in response.getheaders()}
            return response.status, headers, response.read()

    def _scrape(self):
        self.process.wait_for_port(self.admin)
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=5)
        connection.request("GET", "/metrics")
        status = connection.getresponse().status
        connection.close()
        if status != 200:
            raise Died(f"{self.name} answers /metrics with {status}")


def find_binary(name, given):
    """The executable to run: the one that was named, else the one on the PATH; None if missing."""
    if given:
        path = Path(given).resolve()
        return str(path) if os.access(path, os.X_OK) else None
    return shutil.which(name)


def version(kind, binary):
    """What the binary says of itself."""
    words = [word.format(binary=binary) for word in kind.version]
    done = subprocess.run(words, capture_output=True, text=True, timeout=10)
    said = (done.stdout + done.stderr).strip().splitlines() or ["unknown"]
    return re.sub(r"^nginx version: ", "", said[0])
