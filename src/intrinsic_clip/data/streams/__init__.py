"""Sources that are streamed from shards, for sets larger than memory."""
