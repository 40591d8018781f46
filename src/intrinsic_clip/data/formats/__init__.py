"""Readers of file formats: arrays, tables, class labels, pixels, token ids, tar shards."""
