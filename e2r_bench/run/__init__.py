"""The main job: from an experiment to a plan, to pictures, to rows, to a summary."""

from e2r_bench.called import call

call(__name__)
