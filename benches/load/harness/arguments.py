"""The command line, with workloads and binaries resolved."""

import argparse
import os
from pathlib import Path

from . import peers
from .workloads import WORKLOADS


def read(root):
    """Reads the command line. `root` is the repository."""
    options = parser(root).parse_args()
    options.all_cores = set(range(os.cpu_count()))
    options.peer = options.peer or [kind.name for kind in peers.KINDS]
    wanted = options.workload or [workload.name for workload in WORKLOADS]
    options.workload = [workload for workload in WORKLOADS if workload.name in wanted]
    options.binary = {"portcullis": options.portcullis, **dict(pair.split("=", 1) for pair in options.binary)}
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.rate_seconds = 1 if options.quick else 1.5
    return options


def parser(root):
    """What can be said."""
    names, known = [workload.name for workload in WORKLOADS], [kind.name for kind in peers.KINDS]
    words = argparse.ArgumentParser(
        prog="benches/load/run",
        description="Compares Portcullis with other proxies on CPU time per request. benches/README.md explains it.")
    who = words.add_argument_group("who is measured")
    who.add_argument("--portcullis", metavar="PATH", default=str(root / "target/release/portcullis"),
                     help="the binary to measure (default: target/release/portcullis)")
    who.add_argument("--binary", metavar="PEER=PATH", action="append", default=[],
                     help="another binary for a peer, such as nginx=/opt/nginx/sbin/nginx")
    who.add_argument("--peer", metavar="NAME", action="append", choices=known,
                     help=f"only this peer; may be repeated ({', '.join(known)})")
    who.add_argument("--install", action="store_true", help="fetch Caddy and Envoy into benches/load/.venv, and end")
    what = words.add_argument_group("what is measured")
    what.add_argument("--workload", metavar="NAME", action="append", choices=names,
                      help=f"only this workload; may be repeated ({', '.join(names)})")
    what.add_argument("--quick", action="store_true", help="2 rounds of a quarter of the requests: a try, no result")
    what.add_argument("--rounds", type=int, help="runs of each peer and workload (default: 5)")
    what.add_argument("--requests", type=int, help="requests in a run, instead of the workload's own number")
    what.add_argument("--rate", type=int, help="requests a second of the open loop, instead of a share")
    what.add_argument("--rate-share", type=float, default=0.5, metavar="SHARE",
                      help="rate of the open loop as a share of nginx's saturated throughput (default: 0.5; 0: none)")
    where = words.add_argument_group("where it runs")
    where.add_argument("--workers", type=int, default=1, help="workers of each peer (default: 1)")
    where.add_argument("--server-cores", default="0", help="cores of the peers, as taskset reads them (default: 0)")
    where.add_argument("--load-cores", default="1", help="cores of load and backends (default: 1)")
    out = words.add_argument_group("what comes out")
    out.add_argument("--out", type=Path, metavar="FILE", help="where the raw rows go")
    out.add_argument("--report", metavar="FILE", help="print the table of raw rows that were kept; measure nothing")
    out.add_argument("--plots", action="store_true", help="with --report: draw benches/load/plots/*.svg as well")
    return words
