"""Web pages that need nothing beside them: what they share, and the report of a sweep."""
