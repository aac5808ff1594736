"""Which pictures of a run are looked at: restorers rather than controls, one draw of each."""

from e2r_baselines.method import Draw
from e2r_bench.store.store import Store


def restorers(store: Store) -> list[str]:
    """Return the methods that are not controls; all of them where a run has controls only."""
    named = [name for name, info in store.info.methods.items() if not info.control]
    return named or list(store.info.methods)


def shown_draw(store: Store, method: str) -> Draw:
    """Return the draw whose pictures are shown: the first seed, the longest schedule."""
    draws = store.draws(method)
    return max((d for d in draws if d.seed == draws[0].seed), key=lambda draw: draw.steps)


def seeds_of(store: Store, method: str) -> list[Draw]:
    """Return the draws that differ from the shown one in the seed alone, that one included."""
    steps = shown_draw(store, method).steps
    return [draw for draw in store.draws(method) if draw.steps == steps]
