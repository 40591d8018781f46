"""Measuring embeddings that are there already: reading them, the numbers, and how these are shown."""
