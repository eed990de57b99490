"""The pages of the searches are those that their definitions make."""

from pathlib import Path

import pytest

from jobs.searches import catalogue
from jobs.searches.pages import page
from scanner import definition

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "searches"


@pytest.mark.parametrize("name", definition.names())
def test_the_page_of_a_search_is_what_its_definition_makes(name):
    found = page(definition.load(name))
    assert (FOLDER / f"{name}.md").read_text() == found, "run `darkscan searches pages docs/searches`"
    assert "None" not in found


@pytest.mark.parametrize("name", catalogue.runnable())
def test_the_page_of_a_search_shows_its_limits(name):
    image = FOLDER / "images" / f"{name}.png"
    assert f"![Limits of {name}](images/{name}.png)" in page(definition.load(name))
    assert 5_000 < image.stat().st_size < 60_000, "run `darkscan searches pages docs/searches --plots`"


def test_there_is_no_page_of_another_search():
    assert {path.stem for path in FOLDER.glob("*.md")} == set(definition.names())


def test_the_command(darkscan, tmp_path):
    assert darkscan("searches", "pages", tmp_path).code == 0
    assert (tmp_path / "tau_3mu.md").read_text() == page(definition.load("tau_3mu"))


def test_the_command_draws_what_the_pages_show(darkscan, tmp_path):
    answer = darkscan("searches", "pages", tmp_path, "--plots", "--only", "tau_3mu_counts")
    assert answer.code == 0
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["tau_3mu_counts.png"]
    assert (tmp_path / "images" / "tau_3mu_counts.png").stat().st_size > 5_000
