"""Projections as files: exported by `measure`, applied to other embeddings, and put behind an encoder."""
