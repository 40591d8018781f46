"""Web pages that need nothing beside them: the shared document, and the report of a sweep."""
