"""Self-contained web pages: the shared document, and the report of a sweep."""
