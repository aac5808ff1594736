"""`python -m e2r_bench`: the same as `e2r-bench`."""

from e2r_bench.cli import script

if __name__ == "__main__":
    script()
