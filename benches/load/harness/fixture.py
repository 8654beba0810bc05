"""What all peers share: certificate, files, backends, and the filling in of templates."""

import re
import subprocess
from pathlib import Path

from .process import Process, free_port

TEMPLATES = Path(__file__).resolve().parent.parent / "peers"
JSON = '{"id":42,"name":"Ada Lovelace","email":"ada@example.com","roles":["admin","author"],"active":true}'
ASSETS = {"app-3f9a1c2b.js": 1024}


class Fixture:
    """The ground that every peer stands on, inside one scratch directory."""

    def __init__(self, directory, load_cores):
        self.directory = Path(directory)
        self.directory.chmod(0o755)       # nginx workers give up root and must still read it
        self.bodies = {"/api/user": JSON.encode()}
        self.backends = []
        self.names = {
            "DIR": directory,
            "CERT": self.directory / "cert.pem",
            "KEY": self.directory / "key.pem",
            "ROOT": self.directory / "site",
        }
        self._make_certificate()
        self._make_site()
        try:
            for number in (1, 2):
                self._start_backend(number, load_cores)
        except BaseException:
            self.stop()
            raise

    def fill(self, template, target, **names):
        """Writes a template with its names replaced, and returns the path written."""
        known = {**self.names, **names}
        text = (TEMPLATES / template).read_text()
        text = re.sub(r"@([A-Z_0-9]+)@", lambda found: str(known[found.group(1)]), text)
        path = self.directory / target
        path.write_text(text)
        return path

    def stop(self):
        """Ends the backends."""
        for backend in self.backends:
            backend.stop()

    def _make_certificate(self):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "30", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-addext", "basicConstraints=critical,CA:FALSE",
             "-addext", "extendedKeyUsage=serverAuth",
             "-keyout", self.names["KEY"], "-out", self.names["CERT"]],
            check=True, capture_output=True,
        )

    def _make_site(self):
        assets = self.names["ROOT"] / "assets"
        assets.mkdir(parents=True)
        page = '<!doctype html><title>load</title><script type="module" src="/assets/app-3f9a1c2b.js"></script>\n'
        (self.names["ROOT"] / "index.html").write_text(page)
        for name, size in ASSETS.items():
            body = "".join(f"export const n{i} = {i * 7919};\n" for i in range(size // 16)).encode()[:size]
            (assets / name).write_bytes(body)
            self.bodies[f"/assets/{name}"] = body

    def _start_backend(self, number, cores):
        port = free_port()
        config = self.fill("backend.conf", f"backend-{number}.conf", NUMBER=number, PORT=port, JSON=JSON)
        backend = Process(f"backend {number}", ["nginx", "-c", str(config)], cores,
                          self.directory / f"backend-{number}.out")
        self.backends.append(backend)
        backend.wait_for_port(port)
        self.names[f"BACKEND_{number}"] = port
