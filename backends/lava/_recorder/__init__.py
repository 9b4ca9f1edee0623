"""Recording processes; Lava executes every file of this folder, so nothing else may live here."""
