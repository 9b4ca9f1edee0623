"""``python -m spikesim``."""

from spikesim.cli import main

if __name__ == "__main__":
    main()
