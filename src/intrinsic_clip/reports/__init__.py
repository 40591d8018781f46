"""Show numbers to a person: pictures, tables, pages, figures."""
