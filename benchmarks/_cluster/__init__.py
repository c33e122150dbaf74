"""docker-compose.yml brought up without Docker, for what kills it (`random_kills`, `tests/compose`) and looks at it."""
