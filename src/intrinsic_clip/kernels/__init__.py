"""C++ for what PyTorch passes through memory: the encoders' and the loss's part of a training step on a CPU."""
