"""Batched, differentiable simulation on CPU and CUDA."""
