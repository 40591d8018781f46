"""Sources of feature vectors: files, cells, and the features of frozen models."""
