"""Published networks, one per file."""
