"""Workers in processes of this machine: on its cores, or one a GPU."""

import multiprocessing
import os
import signal
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

from e2r_bench.run.crew import CrewExecutor
from e2r_bench.run.executor import Done, Work
from e2r_bench.run.remote import Post, RemoteWorker

_worker: RemoteWorker | None = None
"""That of this process, where it is one of the crew's."""


def process_crew(post: Post, count: int | None) -> CrewExecutor:
    """Return an executor of `count` processes; None for one a GPU, or one a core without any."""
    import torch

    gpus = torch.cuda.device_count() if post.experiment.device in ("auto", "cuda") else 0
    workers = count or gpus or torch.get_num_threads()
    threads = max(1, torch.get_num_threads() // workers)

    def hire(place: int) -> ProcessHand:
        device = f"cuda:{place % gpus}" if gpus else post.experiment.device
        experiment = post.experiment.model_copy(update={"device": device})
        return ProcessHand(replace(post, experiment=experiment, threads=threads))

    return CrewExecutor(hire, workers, (BrokenProcessPool,))


class ProcessHand:
    """A worker in a process that is started anew, so that it inherits no locks and no GPU."""

    def __init__(self, post: Post) -> None:
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, context, _start, (post,))

    def do(self, work: Work) -> "Future[Done]":
        """See `crew.Hand.do`."""
        return self._pool.submit(_do, work)

    def stop(self) -> None:
        """See `crew.Hand.stop`; an idle worker ends by itself, a busy one is ended."""
        for process in list((self._pool._processes or {}).values()):
            process.terminate()
        self._pool.shutdown(wait=True, cancel_futures=True)


_told: Post | None = None


def _start(post: Post) -> None:
    # What goes wrong here would only be called a broken pool: it is raised by the first work.
    global _told  # noqa: PLW0603
    _told = post
    # Ctrl-C is for the one who asked, who ends the others; so does its death.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do(work: Work) -> Done:
    global _worker  # noqa: PLW0603
    if _worker is None:
        if _told is None:
            raise RuntimeError("a worker was asked before it was started")
        _worker = RemoteWorker(_told)
    return _worker(work)
