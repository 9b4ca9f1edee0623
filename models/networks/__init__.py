"""Published networks, one per file: functions that return a :class:`~spikesim.network.Network`."""

from collections.abc import Callable

from spikesim.models.networks.brunel import brunel
from spikesim.models.networks.coba import coba
from spikesim.models.networks.conv_net import conv_net
from spikesim.models.networks.cuba import cuba
from spikesim.models.networks.digits_mlp import digits_mlp
from spikesim.models.networks.hrsnn import chrsnn, hrsnn, mrsnn
from spikesim.models.networks.microcircuit import microcircuit
from spikesim.models.networks.plastic_rnn import plastic_rnn
from spikesim.models.networks.quine import quine
from spikesim.models.networks.resnet import resnet19, resnet20
from spikesim.models.networks.vgg import vgg16
from spikesim.network import Network

NETWORKS: dict[str, Callable[..., Network]] = {
    "brunel": brunel,
    "chrsnn": chrsnn,
    "coba": coba,
    "conv_net": conv_net,
    "cuba": cuba,
    "digits_mlp": digits_mlp,
    "hrsnn": hrsnn,
    "microcircuit": microcircuit,
    "mrsnn": mrsnn,
    "plastic_rnn": plastic_rnn,
    "quine": quine,
    "resnet19": resnet19,
    "resnet20": resnet20,
    "vgg16": vgg16,
}

__all__ = [
    "NETWORKS",
    "brunel",
    "chrsnn",
    "coba",
    "conv_net",
    "cuba",
    "digits_mlp",
    "hrsnn",
    "microcircuit",
    "mrsnn",
    "plastic_rnn",
    "quine",
    "resnet19",
    "resnet20",
    "vgg16",
]
