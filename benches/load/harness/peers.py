"""The proxies that can be compared: how each is found and started, and what it cannot do."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from .workloads import LARGE, MEDIUM

VENV = Path(__file__).resolve().parent.parent / ".venv"
OUT_OF_BUFFER = "it serves no files, and from memory only what fits into a buffer of 16 KiB"


@dataclass(frozen=True)
class Kind:
    """A kind of proxy. `command` and `version` hold {binary}, {config}, {dir} and {workers}."""

    name: str
    title: str
    template: str
    command: tuple
    version: tuple
    metrics: str = "/metrics"
    logs_to_stdout: bool = False
    loses: float = 0.0                              # share of its log lines that it drops under way
    cannot: dict = field(default_factory=dict)      # path: why


KINDS = [
    Kind("nginx", "nginx", "nginx.conf", ("{binary}", "-c", "{config}"), ("{binary}", "-v")),
    Kind("haproxy", "HAProxy", "haproxy.cfg", ("{binary}", "-db", "-f", "{config}"), ("{binary}", "-v"),
         logs_to_stdout=True, loses=0.002, cannot={MEDIUM: OUT_OF_BUFFER, LARGE: OUT_OF_BUFFER}),
    Kind("caddy", "Caddy", "Caddyfile",
         ("env", "HOME={dir}", "XDG_DATA_HOME={dir}", "XDG_CONFIG_HOME={dir}",
          "{binary}", "run", "--config", "{config}", "--adapter", "caddyfile"), ("{binary}", "version")),
    Kind("envoy", "Envoy", "envoy.yaml",
         ("{binary}", "--config-path", "{config}", "--concurrency", "{workers}", "--disable-hot-restart",
          "--log-level", "error", "--file-flush-interval-msec", "1000"), ("{binary}", "--version"),
         metrics="/stats/prometheus"),
    Kind("portcullis", "Portcullis", "portcullis.toml", ("{binary}", "run", "--config", "{config}"),
         ("{binary}", "--version")),
]


def find_binary(name, given):
    """The executable to run: the one that was named, else one on the PATH or in .venv; None if missing."""
    if given:
        path = Path(given).resolve()
        return str(path) if os.access(path, os.X_OK) else None
    own = VENV / "bin" / name
    return shutil.which(name) or (str(own) if os.access(own, os.X_OK) else None)


def version(kind, binary):
    """The name and number the binary says of itself."""
    words = [word.format(binary=binary) for word in kind.version]
    done = subprocess.run(words, capture_output=True, text=True, timeout=10)
    number = re.search(r"\d+\.\d+\.\d+[^\s/]*", done.stdout + done.stderr)
    return f"{kind.title} {number[0]}" if number else kind.title
