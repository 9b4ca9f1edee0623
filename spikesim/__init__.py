"""spikesim: simulate spiking networks, export them to neuromorphic hardware, profile spikes and energy."""
