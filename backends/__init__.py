"""Engines, one folder each. A backend turns a :class:`spikesim.graph.Graph` into spikes; see :mod:`spikesim.engine`."""

if __name__ != "spikesim.backends":
    raise ImportError("import spikesim.backends, not backends: the folder is mapped into the package")
