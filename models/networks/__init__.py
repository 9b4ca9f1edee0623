"""Published networks, one per file: functions that return a :class:`~spikesim.network.Network`."""

from collections.abc import Callable

from spikesim.models.networks.brunel import brunel
from spikesim.models.networks.coba import coba
from spikesim.models.networks.cuba import cuba
from spikesim.models.networks.digits_mlp import digits_mlp
from spikesim.models.networks.microcircuit import microcircuit
from spikesim.network import Network

NETWORKS: dict[str, Callable[..., Network]] = {
    "brunel": brunel,
    "coba": coba,
    "cuba": cuba,
    "digits_mlp": digits_mlp,
    "microcircuit": microcircuit,
}

__all__ = ["NETWORKS", "brunel", "coba", "cuba", "digits_mlp", "microcircuit"]
