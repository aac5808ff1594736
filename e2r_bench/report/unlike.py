"""In what arms that are compared differ beyond their names: weights, steps and options."""

from collections.abc import Iterable, Iterator, Sequence

from e2r_bench.report.arms import Arm


def unlike(arms: Sequence[Arm]) -> tuple[str, ...]:
    """Return in what each method of a later run differs from its namesake in the first."""
    first = {arm.method: arm for arm in arms if arm.origin == arms[0].origin}
    later = [arm for arm in arms if arm.origin != arms[0].origin and arm.method in first]
    pairs = [(arm, first[arm.method]) for arm in later]
    return (*namesake_weights(arm for pair in pairs for arm in pair), *unlike_settings(pairs))


def namesake_weights(arms: Iterable[Arm]) -> Iterator[str]:
    """Yield which arms ran with other weights than one before under the same name of a build.

    Runs that an earlier version made do not name the edition of a miniature; hashes tell it.
    """
    first: dict[str, Arm] = {}
    for arm in arms:
        mine = arm.store.info.methods[arm.method]
        other = first.setdefault(mine.build, arm)
        if mine.weights != other.store.info.methods[other.method].weights:
            yield (
                f"{arm.name} and {other.name}: both say {mine.build}, with different weights "
                "(sha256 in run.json): two editions, or two files of one name"
            )


def unlike_settings(pairs: Iterable[tuple[Arm, Arm]]) -> Iterator[str]:
    """Yield which pairs ran with other steps, or with another value of an option that both have."""
    for one, two in pairs:
        told = [f"{name} {a} and {b}" for name, a, b in _settings_of_both(one, two) if a != b]
        if told:
            yield f"{one.name} and {two.name} differ in {', '.join(told)}"


def _settings_of_both(one: Arm, two: Arm) -> Iterator[tuple[str, object, object]]:
    """Yield name and both values; of one method an option that is not set has its default."""
    first, second = (arm.store.info.methods[arm.method] for arm in (one, two))
    if first.stepped and second.stepped:
        yield "steps", one.steps, two.steps
    same = first.method == second.method
    for name in dict.fromkeys((*first.options, *second.options)):
        if same or (name in first.options and name in second.options):
            yield name, *(info.options.get(name, "its default") for info in (first, second))
