"""Custom Lava processes, alone in their folder: Lava's compiler executes every file beside a process."""
