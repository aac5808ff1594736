"""A run as one file that others can check: publishing it, and verifying what was published."""
