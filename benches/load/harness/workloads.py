"""The workloads, one entry each."""

from dataclasses import dataclass

SMALL, MEDIUM, LARGE = "/assets/app-3f9a1c2b.js", "/assets/vendor-77d0e4a9.js", "/assets/film-c4b81f06.js"
JSON, DOWNLOAD, UPLOAD, SOCKET = "/api/user", "/api/blob", "/upload", "/ws"


@dataclass(frozen=True)
class Workload:
    """One kind of work over a fixed set of connections."""

    name: str
    title: str
    path: str
    protocol: str           # "h1" or "h2"
    connections: int
    requests: int           # in one run; handshakes or messages where those are counted
    streams: int = 1        # at once, on each connection
    tool: str = "h2load"    # or a mode of the driver: "handshake", "websocket", "idle"
    resume: bool = False    # handshakes that take up a session
    rated: bool = False     # measured at a fixed rate as well
    certificate: str = "ecdsa"
    workers: int = 0        # 0: as many as the command line says
    unit: str = "request"


def small(name, title, path, protocol, **more):
    """Many small requests: over 64 connections, or 4 of 32 streams."""
    shape = {"connections": 64} if protocol == "h1" else {"connections": 4, "streams": 32}
    return Workload(name, title, path, protocol, requests=30_000, **shape, **more)


def bulk(name, title, path, protocol, requests):
    """Large bodies: over 8 connections, or 2 of 4 streams."""
    shape = {"connections": 8} if protocol == "h1" else {"connections": 2, "streams": 4}
    return Workload(name, title, path, protocol, requests=requests, **shape)


def handshake(name, title, requests, **more):
    """Handshakes by 16 clients at a time, each with a file of 1 KiB and the end of the connection."""
    return Workload(name, title, SMALL, "h1", connections=16, requests=requests, tool="handshake",
                    unit="handshake", **more)


WORKLOADS = [
    small("proxied-h1", "Small JSON from a backend, HTTP/1.1", JSON, "h1", rated=True),
    small("proxied-h2", "Small JSON from a backend, HTTP/2", JSON, "h2", rated=True),
    small("asset-1k-h1", "Asset of 1 KiB, HTTP/1.1", SMALL, "h1", rated=True),
    small("asset-1k-h2", "Asset of 1 KiB, HTTP/2", SMALL, "h2", rated=True),
    bulk("asset-64k-h1", "Asset of 64 KiB, HTTP/1.1", MEDIUM, "h1", requests=10_000),
    bulk("asset-64k-h2", "Asset of 64 KiB, HTTP/2", MEDIUM, "h2", requests=10_000),
    bulk("asset-10m-h1", "Asset of 10 MiB, HTTP/1.1", LARGE, "h1", requests=80),
    bulk("asset-10m-h2", "Asset of 10 MiB, HTTP/2", LARGE, "h2", requests=80),
    bulk("download-10m-h1", "10 MiB from a backend, HTTP/1.1", DOWNLOAD, "h1", requests=80),
    bulk("download-10m-h2", "10 MiB from a backend, HTTP/2", DOWNLOAD, "h2", requests=80),
    bulk("upload-1m-h1", "POST of 1 MiB to a backend, HTTP/1.1", UPLOAD, "h1", requests=800),
    Workload("websocket", "WebSocket message of 32 bytes and its echo", SOCKET, "h1", connections=64,
             requests=30_000, tool="websocket", unit="message"),
    handshake("handshake-p256", "Full handshake, ECDSA P-256", 2_000),
    handshake("handshake-resumed", "Resumed handshake", 2_400, resume=True),
    Workload("idle", "Idle TLS connections", SMALL, "h1", connections=10_000, requests=10_000, tool="idle",
             unit="connection"),
    handshake("handshake-rsa", "Full handshake, RSA-2048", 1_000, certificate="rsa"),
    small("proxied-h1-2w", "Small JSON, HTTP/1.1, two workers", JSON, "h1", workers=2),
    small("proxied-h2-2w", "Small JSON, HTTP/2, two workers", JSON, "h2", workers=2),
]
