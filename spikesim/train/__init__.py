"""Training by gradients derived from the neuron's equations."""
