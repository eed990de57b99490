"""The command as a process: quick help, exit codes, and errors that are sentences."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobs import cli

COMMAND = str(Path(sys.executable).with_name("darkscan"))
# pydantic is not among them: typer itself checks options with it.
HEAVY = "numpy numba scipy zarr zarrs xarray matplotlib dask distributed pyarrow uproot awkward iminuit"
LOADED = """
import sys
from jobs.cli import main
sys.argv = ["darkscan", *sys.argv[1:]]
try:
    main()
finally:
    print(sorted(set(sys.modules) & set("{heavy}".split())), file=sys.stderr)
"""
COMMANDS = (
    *("searches", "generate", "ingest", "verify", "plan", "scan", "significance", "status", "query"),
    *("project", "plot", "export", "limit", "demo", "bench"),
)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["scan", "--help"], ["searches", "--help"]])
def test_help_loads_nothing_heavy(arguments):
    program = LOADED.format(heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"
    assert done.stdout


def test_help_names_every_command_and_every_command_has_help(darkscan):
    text = darkscan("--help").out
    for name in COMMANDS:
        assert f"\n  {name} " in text
        assert darkscan(name, "--help").out.startswith("Usage: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["scan"], "Missing argument"),
        (["scan", "a", "b"], "Missing option"),
        (["scan", "a", "b", "-o", "c", "--nonsense"], "No such option: --nonsense"),
        (["scan", "a", "b", "-o", "c", "--workers", "two"], "'--workers'"),
        (["scan", "a", "b", "-o", "c", "--workers", "-1"], "'--workers'"),
        (["scan", "a", "b", "-o", "c", "--rows-a-block", "0"], "'--rows-a-block'"),
        (["generate", "a", "b", "--seed", "-1"], "'--seed'"),
        (["limit", "--observed", "3.5"], "'--observed'"),
        (["query"], "Missing argument"),
    ],
)
def test_a_wrong_usage_is_bad_input(refused, arguments, message):
    assert message in refused(*arguments)


def test_a_command_alone_shows_its_help(darkscan):
    assert "darkscan [OPTIONS] COMMAND" in darkscan().out + darkscan().err


def test_a_defect_is_one_sentence_and_exit_code_one(darkscan, monkeypatch):
    def broken():
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(cli, "app", broken)
    answer = darkscan("status", "cube")
    assert answer.code == 1
    assert answer.err.startswith("defect (ZeroDivisionError): division by zero\nSet DARKSCAN_DEBUG=1")
    monkeypatch.setenv("DARKSCAN_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        darkscan("status", "cube")


def test_an_error_of_the_operating_system_names_the_path(darkscan, monkeypatch, tmp_path):
    monkeypatch.setattr(cli, "app", lambda: (tmp_path / "missing").read_text())
    answer = darkscan("status", "cube")
    assert answer.code == 2
    assert answer.err.startswith(f"error: {tmp_path / 'missing'}: No such file or directory; check the path")


def test_a_terminal_without_greek_letters_gets_question_marks():
    done = subprocess.run(
        [COMMAND, "searches", "list"],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "zp_mumu" in done.stdout
    assert "Z?" in done.stdout


def interrupt(process, parts):
    """Press Ctrl-C, which the terminal sends to the whole group, once some parts are committed."""
    deadline = time.monotonic() + 120.0
    while len(list(parts.glob("*.part"))) < 5:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    return process.communicate(timeout=120)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_ctrl_c_ends_with_a_sentence_and_exit_code_three(definition_file, store, tmp_path, workers):
    blocks = ["--rows-a-block", "512", "--windows-a-block", "1", "--workers", workers]
    process = subprocess.Popen(
        [COMMAND, "scan", str(definition_file), store, "-o", str(tmp_path / "cube.zarr"), *blocks],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    out, err = interrupt(process, tmp_path / "cube.zarr.run" / "parts")
    assert (process.returncode, out) == (3, "")
    assert err.startswith("interrupted: what is committed is kept")
    assert err.count("\n") == 1
