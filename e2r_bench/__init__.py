"""The runner, the studies and the report: does a perceptual claim survive its own noise?"""

__version__ = "0.1.0"
