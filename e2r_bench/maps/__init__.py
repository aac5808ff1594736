"""Error maps: where a restored picture lost, invented or shifted something, and where to trust it.

Every map is (H, W) float32 in a stated unit; "levels" are 8-bit levels, 0 to 255.
"""

from e2r_bench.called import call

call(__name__)
