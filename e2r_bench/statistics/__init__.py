"""What a number is worth: tests, intervals and verdicts, as pure functions on arrays."""
