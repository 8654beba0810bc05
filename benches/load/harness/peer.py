"""A running proxy: started with its configuration, and checked for doing all its work."""

import http.client
import os
import socket
import ssl
import time

from .process import Died, Process, free_port
from .workloads import SOCKET, UPLOAD

REQUIRED_HEADERS = (
    "strict-transport-security", "x-content-type-options", "x-frame-options", "referrer-policy",
    "content-security-policy", "x-request-id",
)


class Peer:
    """One instance of a kind of proxy, in a directory of its own."""

    def __init__(self, kind, binary, fixture, cores, workers, certificate="ecdsa"):
        self.name, self.kind, self.fixture, self.cores = kind.name, kind, fixture, cores
        self.port, self.admin = free_port(), free_port()
        directory = fixture.directory / f"{kind.name}-{self.port}"
        directory.mkdir(mode=0o755)
        self.log = directory / "access.log"
        files = fixture.certificate(certificate)
        self.certificate = files["CERT"]
        config = fixture.fill(kind.template, directory / kind.template, PORT=self.port, ADMIN=self.admin,
                              LOG=self.log, WORKERS=workers, DIR=directory, **files)
        words = [word.format(binary=binary, config=config, dir=directory, workers=workers)
                 for word in kind.command]
        self.process = Process(kind.name, words, cores, directory / "output",
                               self.log if kind.logs_to_stdout else None)
        try:
            self.process.wait_for_port(self.port)
            self._scrape()
        except BaseException:
            self.process.stop()
            raise

    def check(self, path):
        """Fetches the path once and compares all that the comparison depends on."""
        if path == SOCKET:
            return                  # the driver checks the upgrade and every echo
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
        enough = expected - int(expected * self.kind.loses)
        before, lines = -1, self._log_lines()
        while lines < expected and time.monotonic() < deadline:
            if enough <= lines == before:
                break
            time.sleep(0.1)
            before, lines = lines, self._log_lines()
        if self.log.exists():
            os.truncate(self.log, 0)
        return lines

    def _log_lines(self):
        if not self.log.exists():
            return 0
        with self.log.open("rb") as log:
            return sum(block.count(b"\n") for block in iter(lambda: log.read(1 << 20), b""))

    def _fetch(self, path):
        context = ssl.create_default_context(cafile=self.certificate)
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        with context.wrap_socket(raw, server_hostname="localhost") as stream:
            body = self.fixture.upload.read_bytes() if path == UPLOAD else b""
            method = f"POST {path} HTTP/1.1\r\nContent-Length: {len(body)}" if body else f"GET {path} HTTP/1.1"
            stream.sendall(f"{method}\r\nHost: localhost:{self.port}\r\nConnection: close\r\n\r\n".encode() + body)
            response = http.client.HTTPResponse(stream)
            response.begin()
            headers = {name.lower() for name, _ in response.getheaders()}
            return response.status, headers, response.read()

    def _scrape(self):
        self.process.wait_for_port(self.admin)
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=5)
        try:
            connection.request("GET", self.kind.metrics)
            status = connection.getresponse().status
        except OSError as fault:
            raise Died(f"{self.name} gives no metrics: {fault}:\n{self.process.last_words()}") from fault
        finally:
            connection.close()
        if status != 200:
            raise Died(f"{self.name} answers {self.kind.metrics} with {status}")
