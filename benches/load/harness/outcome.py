"""What one run of load came to, whoever made it."""

from dataclasses import dataclass, field


@dataclass
class Outcome:
    """What the load generator saw. At saturation latency is for comparing, not for quoting."""

    done: int               # requests, handshakes or messages that went well
    failed: int             # whatever is not a 2xx, or is another body than agreed
    seconds: float
    lines: int              # that the access log must have got
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    p999_ms: float = 0.0
    remark: str = ""        # why the run does not count; empty when it does
    more: dict = field(default_factory=dict)
