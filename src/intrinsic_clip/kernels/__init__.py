"""C++ for what PyTorch passes through memory and Python: a training step on a CPU."""
