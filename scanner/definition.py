"""Search definitions: YAML, built in or a user's own, to checked and frozen models."""

import functools
import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from scanner import units
from scanner.errors import InputError
from scanner.schema.base import CANONICAL
from scanner.schema.check import findings
from scanner.schema.complete import complete
from scanner.schema.document import LARGEST_TEXT, DefinitionError, Node, read
from scanner.schema.expand import SHORT_KEYS, expand, refuse
from scanner.schema.names import BEAM_ENERGY
from scanner.schema.report import nearest, problem_at, raise_problems, shown, unwritten_keys
from scanner.schema.search import Search

__all__ = [
    "DefinitionError",
    "Search",
    "from_json",
    "json_schema",
    "load",
    "names",
    "parse",
    "template",
    "text",
]

SEARCHES = Path(__file__).parent / "searches"
SUFFIXES = (".yaml", ".yml")
TEMPLATE = "_template.yaml"


def names() -> tuple[str, ...]:
    """Return the names of the built-in searches."""
    return tuple(sorted(file.stem for file in SEARCHES.glob("*.yaml") if not file.name.startswith("_")))


def text(name: str) -> str:
    """Return the YAML of a built-in search.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    if name not in names():
        raise InputError(
            f"no built-in search {name!r}{nearest(name, names())}; built in: {', '.join(names())}"
        )
    return _packaged(f"{name}.yaml")


def template() -> str:
    """Return a commented definition to start from."""
    return _packaged(TEMPLATE)


def _packaged(file: str) -> str:
    return (SEARCHES / file).read_text(encoding="utf-8")


def load(name_or_path: str | Path) -> Search:
    """Load a built-in search by its name, or a definition by its path.

    Raises
    ------
    DefinitionError
        With all that is wrong with the definition, each with its file, line and column.
    InputError
        If there is no such search or file.
    """
    written = str(name_or_path)
    if written in names():
        return _load_builtin(written)
    path = Path(name_or_path)
    if path.suffix not in SUFFIXES and not path.is_file():
        raise InputError(
            f"no built-in search and no file {written!r}{nearest(written, names())}; "
            f"built in: {', '.join(names())}; a definition of your own ends in .yaml"
        )
    return parse(_file_text(path), where=written, folder=path.parent)


@functools.cache
def _load_builtin(name: str) -> Search:
    return parse(text(name), where=f"{name}.yaml")


def _file_text(path: Path) -> str:
    try:
        if path.stat().st_size > 4 * LARGEST_TEXT:
            raise InputError(f"{path} has {path.stat().st_size} bytes: no definition is that large")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}): it is no definition") from None
    except OSError as error:
        raise InputError(f"cannot read the definition {path}: {error.strerror}") from None


def parse(source: str, where: str = "definition", folder: Path | None = None) -> Search:
    """Read a definition from text.

    Parameters
    ----------
    source : str
        YAML.
    where : str
        Name of the file in messages.
    folder : Path, optional
        Where files of tables are looked up; without it a definition can name none.

    Raises
    ------
    DefinitionError
        With all that is wrong, each with its line and column.
    """
    tree = expand(read(source, where), _builtin_tree)
    hidden = unwritten_keys(tree, Search)
    if hidden:
        raise DefinitionError(hidden)
    search = _validate(tree, {"folder": folder or Path(), BEAM_ENERGY: _beam_energy(tree)})
    problems = [problem_at(found.path, found.message, tree) for found in findings(search)]
    if problems:
        raise DefinitionError(problems)
    return complete(search).model_copy(update={"source_text": source})


def _builtin_tree(name: str, place: Node) -> Node:
    if not isinstance(name, str) or name not in names():
        raise refuse(
            place,
            "extends",
            f"no built-in search {shown(place.plain())}{nearest(str(name), names())}; "
            f"built in: {', '.join(names())}",
        )
    return read(text(name), f"{name}.yaml")


def _beam_energy(tree: Node) -> float | None:
    """Read the beam energy ahead of the rest: formulas are complete only with it."""
    beam = tree.child("beam")
    energy = beam.child(BEAM_ENERGY) if beam else None
    try:
        return units.parse(energy.plain(), "energy") if energy else None
    except InputError:
        return None  # reported with its place by the validation


def _validate(tree: Node, context: dict[str, Any]) -> Search:
    try:
        return Search.model_validate(tree.plain(), context=context)
    except ValidationError as error:
        raise_problems(error, tree, Search, SHORT_KEYS)
        raise


def from_json(content: str) -> Search:
    """Restore a search from its `canonical` text: it equals the original up to its source text.

    Raises
    ------
    InputError
        If the content is no canonical text.
    """
    try:
        data = json.loads(content)
        data["scan"] = {axis["name"]: axis for axis in data["scan"]}
        return Search.model_validate(data, context={CANONICAL: True})
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"not a stored search definition: {error}") from error


def with_toys(search: Search, toys: int) -> Search:
    """Return a search whose method throws another number of toys; it is another definition, and says so.

    Raises
    ------
    InputError
        If the number is out of range.
    """
    content = json.loads(search.canonical)
    content["method"]["toys"] = toys
    return from_json(json.dumps(content))


def json_schema() -> dict[str, Any]:
    """Return a JSON schema of definitions, for editors."""
    schema = Search.model_json_schema(mode="validation", by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["properties"] |= {key: {"description": "short key, see bump_hunt"} for key in SHORT_KEYS}
    schema.pop("required", None)
    _allow_empty(schema)
    return schema


def _allow_empty(schema: Any) -> None:
    """Let every key be empty, which deletes what `extends` brings."""
    parts = list(schema.values()) if isinstance(schema, dict) else schema if isinstance(schema, list) else []
    for part in parts:
        _allow_empty(part)
    if not isinstance(schema, dict):
        return
    if isinstance(schema.get("properties"), dict):
        entries = schema["properties"]
        schema["properties"] = {key: {"anyOf": [entry, {"type": "null"}]} for key, entry in entries.items()}
    if isinstance(schema.get("additionalProperties"), dict):
        schema["additionalProperties"] = {"anyOf": [schema["additionalProperties"], {"type": "null"}]}
