"""Restorers, the seam they stand behind, and the tasks that they are for.

Stands on `e2r_metrics.base`; knows nothing of adapters, runs and studies.
"""
