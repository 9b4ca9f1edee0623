"""Device profiles, one TOML file per device: every number with its source and its evidence."""
