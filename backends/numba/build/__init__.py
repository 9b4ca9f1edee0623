"""Synapses drawn straight into the tables that the kernels deliver from, in threads and without large intermediates."""
