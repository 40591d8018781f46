"""intrinsic-clip: contrastive learning of paired encoders, and how many dimensions they really use."""

__version__ = "0.1.0"
