"""Files: networks and recordings as HDF5, written so that a killed process leaves a whole file. No pickle, no code."""
