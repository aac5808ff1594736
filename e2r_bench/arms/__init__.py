"""Arms of claims and studies: training and running them, and judging one against another."""
