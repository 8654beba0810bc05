"""Fetches the peers that Debian does not have into benches/load/.venv."""

import subprocess
import sys

from .peers import VENV


def install():
    """Makes the environment with what requirements.txt names; returns the exit code."""
    wanted = VENV.parent / "requirements.txt"
    for command in (
        [sys.executable, "-m", "venv", str(VENV)],
        [str(VENV / "bin/pip"), "install", "--disable-pip-version-check", "--no-input", "-r", str(wanted)],
    ):
        code = subprocess.run(command).returncode
        if code:
            return code
    return 0
