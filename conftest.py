"""Which files pytest must not import to look for doctests."""

import os

from spikesim import optional

# Lava's compiler executes every file beside a custom process, so those stand alone and are imported by Lava only.
collect_ignore_glob = ["spikesim/backends/lava/_procs/*"]

# Files about an optional package cannot be imported without it. In CI nothing may be missing, so nothing is left out.
ABOUT = {
    "torch": ["spikesim/backends/torch/*", "spikesim/train/*", "spikesim/equations/*torch*"],
    "triton": ["spikesim/backends/torch/*triton*"],
    "nir": ["spikesim/convert/*nir*"],
    "snntorch": ["spikesim/convert/*snntorch*"],
    "norse": ["spikesim/convert/*norse*"],
}
if not os.environ.get("CI"):
    for package, files in ABOUT.items():
        if not optional.available(package).ok:
            collect_ignore_glob += files
