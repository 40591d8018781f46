"""Embeddings that exist already: load them, measure them, advise how few dimensions would do."""
