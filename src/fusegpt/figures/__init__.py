"""Pictures that people look at: arrays in, a PNG out. No display, no global state of matplotlib."""
