"""The table of speeds that `darkscan bench` writes into a page."""

import pytest

from jobs.commands.speeds import (
    BEGIN,
    END,
    check_marks,
    duration,
    markdown,
    ratio,
    read_speeds,
    replace_table,
)
from scanner.errors import InputError

RESULTS = {
    "datetime": "2026-01-02T03:04:05+00:00",
    "machine_info": {"cpu": {"brand_raw": "Abacus"}, "python_version": "3.11.7"},
    "benchmarks": [
        {
            "group": group,
            "stats": {"min": seconds, "median": 9.0 * seconds},
            "extra_info": {"who": who, "items": 500, "unit": "window", "bound": bound},
        }
        for group, who, seconds, bound in [
            ("fit", "numpy", 3.1e-3, ""),
            ("fit", "darkscan", 0.62e-3, "divisions"),
            ("fit", "slow", 7.74, ""),
            ("lonely", "numpy", 1.0, ""),
        ]
    ],
}


def test_the_shortest_round_counts_for_one_item():
    own = read_speeds(RESULTS)["fit"][1]
    assert (own.who, duration(own.seconds), own.rate) == ("darkscan", "1.24 µs", "806 kwindows/s")


def test_groups_without_darkscan_have_no_line():
    lines = markdown(RESULTS).splitlines()
    assert lines[0] == "Processor time, shortest round; Abacus, Python 3.11.7, 2026-01-02."
    assert lines[4:] == ["| fit | 1.24 µs a window | 806 kwindows/s | numpy 5; slow 12 000 | divisions |"]
    assert ratio(read_speeds(RESULTS)["lonely"][0], None) == "–"


def test_only_what_stands_between_the_marks_changes(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    check_marks(page)
    replace_table(page, "new")
    replace_table(page, "newer")
    assert page.read_text() == f"before\n{BEGIN}\nnewer\n{END}\nafter\n"


def test_a_part_of_the_benchmarks_leaves_the_other_lines(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        f"{BEGIN}\nwhen\n\n| what | darkscan |\n|---|---|\n| fit | 3 s |\n| pass | 4 s |\n{END}\n"
    )
    replace_table(page, "today\n\n| what | darkscan |\n|---|---|\n| fit | 1 s |\n| toys | 2 s |", partly=True)
    lines = page.read_text().splitlines()[4:]
    assert lines == ["|---|---|", "| fit | 1 s |", "| pass | 4 s |", "| toys | 2 s |", END]


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}"])
def test_a_page_without_marks_is_refused_before_anything_is_timed(tmp_path, text):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(InputError, match="no place for the table"):
        check_marks(page)
    with pytest.raises(InputError, match="cannot be read"):
        check_marks(tmp_path / "none.md")
