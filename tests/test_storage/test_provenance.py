"""What made a result: enough to repeat it, nothing about the user."""

import getpass
import platform
import socket
import subprocess
import sys
from pathlib import Path

from storage import provenance


def test_record_names_versions_and_no_user() -> None:
    record = provenance.record()
    assert record["python"] == platform.python_version()
    assert {"numpy", "zarr", "xarray", "machine", "code"} <= set(record)
    assert len(record["code"]) == 64
    text = str(record)
    assert socket.gethostname() not in text.replace(record["code"], "").split("'")
    assert str(Path.home()) not in text
    assert getpass.getuser() not in text.split("'")


def test_code_digest_is_the_same_in_every_process(tmp_path: Path) -> None:
    code = "from storage.provenance import code_digest; print(code_digest())"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert run.stdout.strip() == provenance.code_digest()


def test_digest_depends_on_names_and_contents(tmp_path: Path) -> None:
    for name, text in (("a.py", "1"), ("b.py", "2"), ("c.py", "1")):
        (tmp_path / name).write_text(text)
    one = {"a": tmp_path / "a.py", "b": tmp_path / "b.py"}
    assert provenance.files_digest(one) == provenance.files_digest(dict(reversed(one.items())))
    assert provenance.files_digest(one) == provenance.files_digest(
        {"b": tmp_path / "b.py", "a": tmp_path / "c.py"}
    )
    assert provenance.files_digest(one) != provenance.files_digest(
        {"a": tmp_path / "b.py", "b": tmp_path / "a.py"}
    )


def test_no_compiler_is_imported() -> None:
    code = "import sys, storage.provenance as p; p.record(); print({'numba', 'zarr'} & {*sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
