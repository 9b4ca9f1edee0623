"""What an exported folder runs: these files are copied into it as they are, so they import Lava and numpy only."""
