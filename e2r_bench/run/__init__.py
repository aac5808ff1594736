"""The main job: from an experiment to a plan, to pictures, to rows, to a summary."""
