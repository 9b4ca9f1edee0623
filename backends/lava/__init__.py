"""The same network as Lava processes, run in a child process."""
