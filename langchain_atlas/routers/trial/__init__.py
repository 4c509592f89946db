"""What trials of a new router need: the sequential test, the background thread, and a file that keeps what was seen."""
