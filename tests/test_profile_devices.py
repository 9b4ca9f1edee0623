"""The device files, and what a wrong one is told."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from spikesim.errors import FileFormatError, InvalidValueError, UnknownNameError
from spikesim.profile import device_rows, list_devices, load_device
from spikesim.profile.device import parse_device
from spikesim.profile.quantity import EVIDENCE, Number, Quantity

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHIPPED = {
    "akida",
    "brainscales2",
    "cmos45",
    "cmos7",
    "darwin3",
    "dynapse2",
    "loihi1",
    "loihi1_nahuku",
    "loihi2",
    "odin",
    "speck2",
    "spinnaker1",
    "spinnaker2",
    "tianjic",
    "truenorth",
    "xylo_a2",
    "xylo_a3",
}


def text_of(name: str) -> str:
    return (files("spikesim.hw_profiles") / f"{name}.toml").read_text("utf-8")


def numbers(data: Any, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Every table that holds a value, and its place."""
    found = []
    if isinstance(data, dict):
        if "value" in data:
            found.append((path, data))
        for key, below in data.items():
            found += numbers(below, f"{path}.{key}")
    elif isinstance(data, list):
        for below in data:
            found += numbers(below, path)
    return found


def test_all_devices_are_shipped_and_valid() -> None:
    assert set(list_devices()) == SHIPPED
    for name in list_devices():
        assert load_device(name).name == name


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_every_number_says_where_it_comes_from(name: str) -> None:
    data = tomllib.loads(text_of(name))
    found = numbers(data)
    assert found
    for place, number in found:
        assert number["source"].strip(), place
        assert number["unit"], place
        assert number["evidence"] in EVIDENCE, place
        assert number["nature"] in {"measured", "simulated", "fitted", "vendor", "estimate", "derived"}, place
        if ".energy" in place or ".power" in place or ".references" in place:
            assert "cycles" in place or "max_mhz" in place or number["scope"] in {"per_term", "all_in"}, place


def test_evidence_is_not_better_than_the_facts() -> None:
    """Nobody opened these papers: the file must keep saying so."""
    assert load_device("dynapse2").energy.spike_out.evidence == "unverified"
    assert load_device("brainscales2").power.active.evidence == "secondary"
    assert load_device("cmos45").arithmetic["int8"].add.evidence == "unverified"
    assert load_device("loihi1").energy.synaptic_event.nature == "simulated"
    assert load_device("loihi1").limits.delay_max.evidence == "secondary"


def test_units_become_the_nearest_double() -> None:
    assert load_device("loihi1").energy.synaptic_event.si.nominal == 23.6e-12
    assert load_device("odin").power.static.si.nominal == 27.3e-6
    assert load_device("odin").power.clock.energy.si.nominal == 1.78e-12
    assert load_device("loihi1_nahuku").time.spike_out.si.nominal == 30e-9


def test_unknown_device_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown device 'loihi3'; did you mean 'loihi2'\?"):
        load_device("loihi3")


def test_missing_file() -> None:
    with pytest.raises(InvalidValueError, match=r"nowhere\.toml: no such file"):
        load_device("nowhere.toml")


def test_own_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text_of("loihi1").replace('name = "loihi1"', 'name = "mine"'), "utf-8")
    assert load_device(path).name == "mine"
    assert load_device(str(path)).name == "mine"


def test_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(FileFormatError, match="not UTF-8"):
        load_device(path)
    path.write_text("a = = 1", "utf-8")
    with pytest.raises(FileFormatError, match="not valid TOML"):
        load_device(path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            ('unit = "pJ"', 'unit = "pW"'),
            r"synaptic_event.unit: unit 'pW' is not known here; allowed: J, mJ, uJ",
        ),
        (("value = 23.6", 'value = "many"'), r"energy.synaptic_event.value: .*found 'many'"),
        (("value = 23.6", "value = -1.0"), r"energy.synaptic_event: needs 0 <= low <= value <= high"),
        (("value = 23.6", "value = nan"), r"energy.synaptic_event.value"),
        (
            ('nature = "simulated"', 'nature = "guessed"'),
            r"synaptic_event.nature: .*'measured'.*found 'guessed'",
        ),
        (("[energy.synaptic_event]", "[energy.synaptic_events]"), r"energy.synaptic_events: is not a known field"),
        (('pricing = "per_term"', ""), r"pricing: is missing"),
        (("format = 1", "format = 2"), r"format: .*found 2"),
        (('spike_out = "packet"', 'spike_outs = "packet"'), r"unknown term 'spike_outs'"),
        (('spike_out = "packet"', ""), r"price, include or declare unpriced every term; missing: spike_out"),
        (
            ('spike_out = "packet"', 'hop_x = "packet"'),
            r"'hop_x' stands in a price and \[included\]",
        ),
        (('scope = "per_term"', 'scope = "all_in"'), r"all_in: it already holds every other cost"),
    ],
)
def test_wrong_files_are_told_the_field(change: tuple[str, str], sentence: str) -> None:
    head, mark, tail = text_of("loihi1").partition("[energy.synaptic_event]")
    whole = head + mark + tail
    spot = mark + tail if change[0] in mark + tail else whole
    before = "" if spot is whole else head
    with pytest.raises(FileFormatError, match=sentence):
        parse_device(before + spot.replace(*change, 1))


def test_all_problems_are_listed() -> None:
    broken = text_of("loihi1").replace('unit = "core"', 'unit = "kern"').replace('unit = "pJ"', 'unit = "pW"')
    with pytest.raises(FileFormatError) as caught:
        parse_device(broken, "mine.toml")
    assert str(caught.value).startswith("mine.toml is not a device profile of spikesim:")
    assert str(caught.value).count("\n- ") >= 6


def test_a_budget_must_say_what_happens() -> None:
    text = text_of("spinnaker1").replace('consequence = "the 1 ms deadline is missed silently"', "")
    with pytest.raises(FileFormatError, match="a budget needs `consequence`"):
        parse_device(text)


def test_a_price_list_without_prices_is_refused() -> None:
    base = 'format = 1\nname = "x"\ntitle = "X"\nsummary = "x"\n'
    for pricing, sentence in (("affine", r"\[power.static\]"), ("time_based", r"\[power.active\]")):
        with pytest.raises(FileFormatError, match=sentence):
            parse_device(f'{base}pricing = "{pricing}"')
    with pytest.raises(FileFormatError, match="arithmetic"):
        parse_device(f'{base}pricing = "none"\nkind = "logic"')


def test_listing_names_model_and_evidence() -> None:
    rows = {row[0]: row for row in device_rows()}
    assert set(rows) == SHIPPED
    assert rows["loihi1"][2:] == ("per term", "simulated; quoted")
    assert rows["loihi2"][2:] == ("no published price", "–")


def test_quantity_reads_well() -> None:
    plain = Number(value=3, unit="core", nature="vendor", evidence="code", source="x")
    assert str(plain) == "3 core"
    assert str(load_device("cmos45").memory[-1].energy) == "1.95 (1.3 to 2.6) nJ"
    assert isinstance(plain, Quantity)
