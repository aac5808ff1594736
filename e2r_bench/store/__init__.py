"""What a run leaves on disk, and the one way to read and add to it."""
