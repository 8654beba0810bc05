"""What all peers share: certificates, files, backends, and the filling in of templates."""

import random
import re
import resource
import subprocess
import sys
from pathlib import Path

from . import driver, workloads
from .process import Process, free_port

TEMPLATES = Path(__file__).resolve().parent.parent / "peers"
JSON = '{"id":42,"name":"Ada Lovelace","email":"ada@example.com","roles":["admin","author"],"active":true}'
MIB = 1024 * 1024
ASSETS = {workloads.SMALL: 1024, workloads.MEDIUM: 64 * 1024, workloads.LARGE: 10 * MIB}
KEYS = {
    "ecdsa": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "rsa": ["rsa:2048"],
}


def raise_limit(wanted=65_536, needed=16_384):
    """Lets 10,000 connections be open; peers and load inherit it. Returns how many descriptors there may be."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (wanted, min(most, wanted)):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, max(most, limit)))
            break
        except (ValueError, OSError):
            continue
    if limit < needed:
        print(f"only {limit} descriptors are allowed: 10,000 idle connections will fail", file=sys.stderr)
    return limit


class Fixture:
    """The ground that every peer stands on, inside one scratch directory."""

    def __init__(self, directory, load_cores):
        self.directory = Path(directory)
        self.directory.chmod(0o755)       # nginx workers give up root and must still read it
        self.load_cores = load_cores
        self.bodies = {workloads.JSON: JSON.encode()}
        self.upload = self.directory / "upload"
        self.backends = []
        self.names = {"ROOT": self.directory / "site", "DRIVER": free_port(), "DESCRIPTORS": raise_limit()}
        for kind in KEYS:
            self._make_certificate(kind)
        self._make_site()
        try:
            for number in (1, 2):
                self._start_backend(number)
            self._start_driver()
        except BaseException:
            self.stop()
            raise

    def fill(self, template, target, **names):
        """Writes a template with its names replaced into the target, and returns it."""
        known = {**self.names, **names}
        text = (TEMPLATES / template).read_text()
        target.write_text(re.sub(r"@([A-Z_0-9]+)@", lambda found: str(known[found.group(1)]), text))
        return target

    def certificate(self, kind):
        """The files of a certificate, under the names that templates use."""
        return {"CERT": self.directory / f"{kind}.pem", "KEY": self.directory / f"{kind}.key",
                "PEM": self.directory / f"{kind}-both.pem"}

    def stop(self):
        """Ends the backends."""
        for backend in self.backends:
            backend.stop()

    def _make_certificate(self, kind):
        files = self.certificate(kind)
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", *KEYS[kind],
             "-nodes", "-days", "30", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-addext", "basicConstraints=critical,CA:FALSE",
             "-addext", "extendedKeyUsage=serverAuth",
             "-keyout", files["KEY"], "-out", files["CERT"]],
            check=True, capture_output=True,
        )
        files["PEM"].write_bytes(files["CERT"].read_bytes() + files["KEY"].read_bytes())

    def _make_site(self):
        site = self.names["ROOT"]
        (site / "assets").mkdir(parents=True)
        page = f'<!doctype html><title>load</title><script type="module" src="{workloads.SMALL}"></script>\n'
        (site / "index.html").write_text(page)
        chance = random.Random(7)
        for path, size in ASSETS.items():
            body = chance.randbytes(size // 2).hex().encode()
            (site / path.removeprefix("/")).write_bytes(body)
            self.bodies[path] = body
        backend = self.directory / "backend"
        backend.mkdir()
        self.bodies[workloads.DOWNLOAD] = chance.randbytes(10 * MIB)
        (backend / "blob").write_bytes(self.bodies[workloads.DOWNLOAD])
        self.upload.write_bytes(chance.randbytes(MIB))
        self.bodies[workloads.UPLOAD] = f'{{"received":{MIB}}}'.encode()

    def _start_backend(self, number):
        port = free_port()
        config = self.fill("backend.conf", self.directory / f"backend-{number}.conf",
                           DIR=self.directory, NUMBER=number, PORT=port, JSON=JSON)
        backend = Process(f"backend {number}", ["nginx", "-c", str(config)], self.load_cores,
                          self.directory / f"backend-{number}.out")
        self.backends.append(backend)
        backend.wait_for_port(port)
        self.names[f"BACKEND_{number}"] = port

    def _start_driver(self):
        port = self.names["DRIVER"]
        backend = Process("driver as backend", [str(driver.BINARY), "backend", "--port", str(port)],
                          self.load_cores, self.directory / "driver-backend.out")
        self.backends.append(backend)
        backend.wait_for_port(port)
