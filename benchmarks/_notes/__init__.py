"""The demonstrations of docs/notes.md: each a function that measures something small and returns it as a table."""
