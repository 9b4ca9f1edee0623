"""The process of the third factor, alone in its folder: Lava's compiler executes every file beside a process."""
