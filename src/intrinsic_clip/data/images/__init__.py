"""Sources of images with captions: one module per data set, and what they share."""
