"""Sources of images with captions: one module per data set, and their base class in image_captions.py."""
