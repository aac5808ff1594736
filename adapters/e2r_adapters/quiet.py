"""Loading without chatter: a run has its own progress bars, and says itself what it loads."""

from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def quiet_loading() -> Generator[None]:
    """Silence the bars and hints of diffusers and transformers inside; errors still show."""
    from diffusers.utils import logging as diffusers_log
    from transformers.utils import logging as transformers_log

    before = [log.get_verbosity() for log in (diffusers_log, transformers_log)]
    for log in (diffusers_log, transformers_log):
        log.set_verbosity_error()
        log.disable_progress_bar()
    try:
        yield
    finally:
        for log, level in zip((diffusers_log, transformers_log), before, strict=True):
            log.set_verbosity(level)
            log.enable_progress_bar()
