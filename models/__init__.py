"""Models: neurons and whole published networks, one file each."""

if __name__ != "spikesim.models":
    raise ImportError("import spikesim.models, not models: the folder is mapped into the package")
