"""The endpoint: the champion of one experiment over HTTP, by Ray Serve."""
