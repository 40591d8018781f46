"""Everything that shows numbers to a person: pictures, tables, pages, figures."""
