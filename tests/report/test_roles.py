"""Which question a metric answers follows from its row, for all that the catalog has."""

import pytest

from e2r_bench.maps.shares import SHARES
from e2r_bench.report.roles import FIDELITY, INVENTION, PERCEPTION, Role, chosen, role_of
from e2r_metrics.catalog import CATALOG, composites, resolve

_FORMULAS = ("psnr", "ssim", "ms_ssim", "l1", "ciede2000", "gmsd", "haarpsi", "vif")


@pytest.mark.parametrize("key", CATALOG)
def test_every_metric_of_the_catalog_has_the_role_of_its_kind(key: str) -> None:
    expected = FIDELITY if CATALOG[key].name in _FORMULAS else PERCEPTION
    assert role_of(key) is expected
    assert role_of(key, {key}) is expected


def test_names_in_order_of_trust_are_of_their_role_and_leave_no_picture_metric_out() -> None:
    names = {row.name for row in CATALOG.values() if row.per_image}
    for role in (FIDELITY, PERCEPTION):
        for name in role.names:
            assert {role_of(key) for key in CATALOG if CATALOG[key].name == name} == {role}
    assert names <= {*FIDELITY.names, *PERCEPTION.names}


@pytest.mark.parametrize(
    ("key", "role"),
    [
        *((key, INVENTION) for key in (*SHARES, "invented", "trusted")),
        *((row.id, PERCEPTION) for row in composites() if row.name != "ntire26-srx4-psnr"),
        ("ntire26-srx4-psnr:published", FIDELITY), ("ciede2000", FIDELITY),
        ("psnr:y709_rounded", FIDELITY), ("ssim:uniform7-y", FIDELITY), ("theirs:v1", INVENTION),
    ],
)  # fmt: skip
def test_composites_shares_and_maps_have_a_role_of_their_own(key: str, role: Role) -> None:
    assert role_of(key) is role


def test_a_runs_metric_that_nobody_knows_here_is_not_said_to_be_made_up() -> None:
    assert role_of("theirs:v1", {"theirs:v1"}) is PERCEPTION
    (program,) = resolve(["command:better=higher low=0 high=10 name=theirs cat"])
    assert role_of(program.id, {program.id}) is PERCEPTION


def test_one_of_a_kind_alone_speaks_for_it() -> None:
    assert chosen(FIDELITY, ["lpips:alex", "l1:rgb"]) == "l1:rgb"
    assert chosen(PERCEPTION, ["l1:rgb", "fd_dinov2:l"]) == "fd_dinov2:l"
    assert chosen(FIDELITY, ["l1:rgb", "psnr:rgb"]) == "psnr:rgb"
