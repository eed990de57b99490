"""The pages of the searches are those that their definitions make."""

from pathlib import Path

import pytest

from jobs.pages import page
from scanner import definition

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "searches"


@pytest.mark.parametrize("name", definition.names())
def test_the_page_of_a_search_is_what_its_definition_makes(name):
    found = page(definition.load(name))
    assert (FOLDER / f"{name}.md").read_text() == found, "run `darkscan searches pages docs/searches`"
    assert "None" not in found


def test_there_is_no_page_of_another_search():
    assert {path.stem for path in FOLDER.glob("*.md")} == set(definition.names())


def test_the_command(darkscan, tmp_path):
    assert darkscan("searches", "pages", tmp_path).code == 0
    assert (tmp_path / "tau_3mu.md").read_text() == page(definition.load("tau_3mu"))
