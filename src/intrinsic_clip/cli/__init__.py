"""The command line: verbs, help, and errors in one line."""
