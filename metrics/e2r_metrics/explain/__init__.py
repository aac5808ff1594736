"""Which protocol gives a stated number? The usual and the odd ones are tried on the pictures."""
