"""Jobs of named blocks: begun once, resumed as they were, never mixed."""

import json

import numpy as np
import pytest

from jobs import blocks
from jobs.blocks import IncompleteError, Job
from jobs.executors import SerialExecutor, Task
from scanner.errors import InputError

KEYS = ("a-0", "a-1", "a-2")


def square(ticket, key):
    opened = blocks.of_ticket(ticket)
    opened.parts.commit(key, {"value": np.array([opened.job.facts["of"] * int(key[-1])])})
    return key


def forget(ticket, key):
    return key


def run(opened, execute=square):
    task = Task(execute, opened.ticket, opened.parts.keys)
    blocks.finish(task, opened.parts, SerialExecutor(), keys=opened.job.keys, label="test")


def begin(place, of=2, keys=KEYS, **how):
    job = Job.of("test", {"of": of}, keys)
    return blocks.begin(job, str(place), **({"resume": False, "overwrite": False} | how))


def test_all_blocks_are_done_and_kept(tmp_path):
    opened = begin(tmp_path / "job")
    run(opened)
    assert [opened.parts.read(key).arrays["value"][0] for key in KEYS] == [0, 2, 4]


def test_what_is_done_is_not_done_again(tmp_path):
    opened = begin(tmp_path / "job")
    blocks.finish(
        Task(square, opened.ticket, opened.parts.keys),
        opened.parts,
        SerialExecutor(),
        keys=KEYS[:2],
        label="test",
    )
    assert blocks.remaining(opened.parts, KEYS) == ("a-2",)
    run(begin(tmp_path / "job", resume=True))
    assert blocks.remaining(opened.parts, KEYS) == ()


def test_a_begun_job_is_neither_repeated_nor_mixed(tmp_path):
    begin(tmp_path / "job")
    with pytest.raises(InputError, match="was started before: --resume it, or --overwrite it"):
        begin(tmp_path / "job")
    with pytest.raises(InputError, match="is of another definition, input, options or seed"):
        begin(tmp_path / "job", of=3, resume=True)
    assert begin(tmp_path / "job", of=3, overwrite=True).job.facts == {"of": 3}


def test_the_identity_is_of_the_facts_and_not_of_the_blocks():
    assert Job.of("test", {"of": 2}, KEYS).identity == Job.of("test", {"of": 2}, KEYS[:1]).identity
    assert Job.of("test", {"of": 2}, KEYS).digest != Job.of("test", {"of": 2}, KEYS[:1]).digest
    assert Job.of("test", {"of": 2}, KEYS).identity != Job.of("other", {"of": 2}, KEYS).identity


def test_blocks_that_commit_nothing_end_the_job(tmp_path):
    with pytest.raises(IncompleteError, match="3 blocks cannot be done, the first is a-0"):
        run(begin(tmp_path / "job"), forget)


def test_a_job_that_was_changed_is_refused(tmp_path):
    begin(tmp_path / "job")
    path = tmp_path / "job" / blocks.JOB
    changed = json.loads(path.read_text())
    changed["facts"]["of"] = 5
    path.write_text(json.dumps(changed))
    with pytest.raises(InputError, match="changed or is of another version"):
        blocks.open_job(str(tmp_path / "job"))
    path.write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        blocks.open_job(str(tmp_path / "job"))


def test_a_worker_of_a_job_that_was_started_anew_ends(tmp_path):
    old = begin(tmp_path / "job")
    begin(tmp_path / "job", of=3, overwrite=True)
    with pytest.raises(InputError, match="was started anew meanwhile"):
        square(old.ticket, "a-0")


def test_jobs_of_other_sources_or_processors_are_refused(tmp_path):
    for other in (Job("test", {}, KEYS, "0" * 64, "x"), Job("test", {}, KEYS, Job.of("", {}, ()).code, "x")):
        (tmp_path / blocks.JOB).write_bytes(other.to_json())
        with pytest.raises(InputError, match=r"other sources|processors"):
            blocks.open_job(str(tmp_path))
