"""What holds for every test and doctest: no part may be missing in CI, and which files are not imported."""

import os
import sys

import pytest

from spikesim import optional

CI = bool(os.environ.get("CI"))

# Importing Lava fixes how this process starts others, so what imports it at the top is for Lava's own process only.
collect_ignore_glob = [
    f"spikesim/backends/lava/{name}"
    for name in ("_procs/*", "_recorder/*", "_third_factor/*", "learning.py", "session.py", "standalone/run.py")
]

# Files about an optional package cannot be imported without it.
ABOUT = {
    "torch": [
        "spikesim/backends/torch/*",
        "spikesim/train/*",
        "spikesim/equations/*torch*",
        "spikesim/convert/torch_stepped.py",
        "spikesim/quantise/torch_rounding.py",
    ],
    "triton": ["spikesim/backends/torch/*triton*"],
    "nir": ["spikesim/convert/*nir*"],
    "snntorch": ["spikesim/convert/*snntorch*"],
    "norse": ["spikesim/convert/*norse*"],
}
for package, files in ABOUT.items():
    if not optional.available(package).ok:
        collect_ignore_glob += files


def pytest_sessionstart() -> None:
    """Refuse to begin in CI without every optional package: a skipped test would look like a passed one."""
    needed = [name for name in optional.PACKAGES if name != "triton" or sys.platform == "linux"]
    missing = [reason for ok, reason in map(optional.available, needed) if not ok]
    if CI and missing:
        pytest.exit("CI is set, so no part may be missing:\n" + "\n".join(missing), returncode=2)
