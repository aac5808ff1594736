"""Where this project caches."""

import os
from pathlib import Path

from platformdirs import user_cache_path


def cache_folder() -> Path:
    """Return the folder this project caches in: `E2R_CACHE`, else the platform's usual place."""
    if os.environ.get("E2R_CACHE"):
        return Path(os.environ["E2R_CACHE"]).expanduser()
    return user_cache_path("e2r-bench", appauthor=False)
