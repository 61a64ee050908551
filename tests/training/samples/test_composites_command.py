"""The command that makes a store: which pack it goes on with, what it reports and refuses."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from tests.training.conftest import drawn_pack
from training.cli import cli
from training.elements.pack import write_pack
from training.samples.composite_store import HEADER, RECORDS


@pytest.fixture(scope="module")
def packs(tmp_path_factory):
    folder, pack = tmp_path_factory.mktemp("packs"), drawn_pack()
    write_pack(folder / "one", pack)
    write_pack(folder / "copy", replace(pack, notes="the same pictures"))
    write_pack(folder / "other", replace(pack, elements=pack.elements[1:]))
    return folder


def make(pack, store, count=1, side=64):
    options = ["--count", str(count), "--side", str(side)]
    return CliRunner().invoke(cli, ["composites", str(pack), "-o", str(store), *options])


def test_a_store_goes_on_with_its_own_pack_only(packs, tmp_path):
    assert make(packs / "one", tmp_path).exit_code == 0
    before = [(tmp_path / name).read_bytes() for name in (HEADER, RECORDS)]
    result = make(packs / "other", tmp_path, 2)
    assert result.exit_code == 3 and "made from another pack" in result.output
    assert str(tmp_path) in result.output and "choose another folder" in result.output
    assert [(tmp_path / name).read_bytes() for name in (HEADER, RECORDS)] == before
    assert make(packs / "copy", tmp_path, 2).exit_code == 0


def test_a_store_that_does_not_name_its_pack_goes_on(packs, tmp_path):
    """Earlier versions made such stores."""
    make(packs / "one", tmp_path)
    header = json.loads((tmp_path / HEADER).read_text())
    digest = header["made"].pop("pack")
    (tmp_path / HEADER).write_text(json.dumps(header))
    assert make(packs / "one", tmp_path, 2).exit_code == 0
    assert json.loads((tmp_path / HEADER).read_text())["made"]["pack"] == digest


def test_it_reports_how_many_are_there_in_the_end(packs, tmp_path):
    lines = make(packs / "one", tmp_path, 2).output.splitlines()
    assert [line.removeprefix(f"{tmp_path}: ") for line in lines] == [
        "0 of 2 composites are there",
        "2 of 2 composites are there",
    ]
    lines = make(packs / "one", tmp_path, 2).output.splitlines()
    assert lines == [f"{tmp_path}: 2 of 2 composites are there"]


def test_a_side_that_is_no_multiple_of_32_is_wrong_use(packs, tmp_path):
    result = make(packs / "one", tmp_path / "store", side=250)
    assert result.exit_code == 2 and "multiple of 32, found 250" in result.output
    assert not (tmp_path / "store").exists()
