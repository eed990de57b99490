"""What pydantic found wrong, told in the terms of the file."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from scanner.schema.base import PartError
from scanner.schema.document import DefinitionError, Node, Problem

Path = tuple[str | int, ...]

_WANTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "int_parsing": "a whole number",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "tuple_type": "a list",
    "list_type": "a list",
    "bool_type": "true or false",
}
_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}


def raise_problems(
    error: ValidationError, tree: Node, root: type[BaseModel], short_keys: Iterable[str]
) -> None:
    """Raise the errors of a validation with their places.

    Raises
    ------
    DefinitionError
        Always.
    """
    details = error.errors()
    unsourced = {detail["loc"][:-1] for detail in details if _lacks_source(detail)}
    problems = [
        _problem(detail, tree, root, tuple(short_keys))
        for detail in details
        # A function inherits its owner's source: one message, about the owner, is enough.
        if not (_lacks_source(detail) and detail["loc"][:-2] in unsourced)
    ]
    raise DefinitionError(problems) from None


def unwritten_keys(tree: Node, root: type[BaseModel]) -> list[Problem]:
    """Find keys that models have and users do not write."""
    return list(_unwritten(tree, (), root))


def _unwritten(node: Node, path: Path, root: type[BaseModel]) -> Iterator[Problem]:
    entries = node.value.items() if isinstance(node.value, dict) else ()
    owner = model_at(root, path) if entries else None
    hidden = {*getattr(owner, "unwritten", ())} - {*getattr(owner, "written", ())}
    for key, child in entries:
        inner = (*path, key)
        if key in hidden:
            yield Problem(node.keys[key], dotted(inner), _unknown_key(inner, root, ()))
        yield from _unwritten(child, inner, root)
    for index, child in enumerate(node.value if isinstance(node.value, list) else ()):
        yield from _unwritten(child, (*path, index), root)


def problem_at(path: Path, message: str, tree: Node) -> Problem:
    """Make the problem of a path; an index into what is written as a single value is left out."""
    known = _known_path(path, tree)
    indexed = path and isinstance(path[-1], int) and len(known) < len(path)
    return Problem(tree.find(path), dotted(path[:-1] if indexed else path), message)


def dotted(path: Sequence[str | int]) -> str:
    """Write a path as "signal.resolution", "vetoes[0].width"."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def nearest(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean …?", or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def _lacks_source(detail: ErrorDetails) -> bool:
    return detail["type"] == "missing" and detail["loc"][-1] == "source"


def _problem(detail: ErrorDetails, tree: Node, root: type[BaseModel], short_keys: tuple[str, ...]) -> Problem:
    cause = detail.get("ctx", {}).get("error")
    part = cause.part if isinstance(cause, PartError) else ()
    path = _known_path((*detail["loc"], *part), tree)
    if detail["type"] == "extra_forbidden":
        path = tuple(detail["loc"])
        mark = tree.find(path, key=True)
        return Problem(mark, dotted(path), _unknown_key(path, root, short_keys))
    if detail["type"] == "missing":
        key = str(detail["loc"][-1])
        return Problem(tree.find(path), dotted(path), f"the key {key!r} is missing here")
    return Problem(tree.find(path), dotted(path), _message(detail))


def _known_path(loc: Path, tree: Node) -> Path:
    """Cut a location at the first part that the file does not hold."""
    known: list[str | int] = []
    node: Node | None = tree
    for step in loc:
        node = node.child(step) if node is not None else None
        if node is None:
            break
        known.append(step)
    return tuple(known)


def _message(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    value = detail["input"]
    if kind == "value_error":
        return str(context["error"])
    if kind in {"literal_error", "enum"}:
        return _not_among(value, context["expected"])
    if kind in _WANTED:
        return f"{shown(value)} is not {_WANTED[kind]}"
    if kind in _BOUNDS:
        limit, words = _BOUNDS[kind]
        return f"{shown(value)} is out of range: it must be {words} {context[limit]:g}"
    if kind == "finite_number":
        return f"{shown(value)} is not a finite number"
    return f"{shown(value)}: {detail['msg'][0].lower()}{detail['msg'][1:]}"


def _not_among(value: Any, expected: str) -> str:
    allowed = [word.strip("' ") for word in expected.replace(" or ", ", ").split(",")]
    close = nearest(value, allowed) if isinstance(value, str) else ""
    return f"{shown(value)} is not known here{close}; allowed: {', '.join(allowed)}"


def shown(value: Any) -> str:
    """Show a value, shortened."""
    if isinstance(value, Mapping):
        return f"a mapping ({', '.join(str(key) for key in list(value)[:4])})"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if value is None:
        return "no value"
    text = repr(value)
    return text if len(text) <= 60 else text[:56] + "...'"


def _unknown_key(path: Path, root: type[BaseModel], short_keys: tuple[str, ...]) -> str:
    owner = model_at(root, path[:-1])
    allowed = written_keys(owner) if owner else []
    if len(path) == 1:
        allowed += [key for key in short_keys if key not in allowed]
    key = str(path[-1])
    return f"unknown key {key!r}{nearest(key, allowed)}; allowed: {', '.join(allowed)}"


def written_keys(owner: type[BaseModel]) -> list[str]:
    """Return the keys that a user may write for a model."""
    extra: Sequence[str] = getattr(owner, "written", ())
    hidden: Sequence[str] = getattr(owner, "unwritten", ())
    names = [field.alias or name for name, field in owner.model_fields.items()]
    return list(dict.fromkeys([*extra, *(name for name in names if name not in hidden)]))


def model_at(root: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """Return the model that a path leads to."""
    owner: Any = root
    for step in path:
        model = _model(owner)
        if model is not None:
            fields = {field.alias or name: field for name, field in model.model_fields.items()}
            owner = fields[str(step)].annotation if step in fields else None
        else:
            owner = _entry(owner)
    return _model(owner)


def _model(annotation: Any) -> type[BaseModel] | None:
    """Return the model of a bare, optional or annotated model type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in {dict, tuple, None}:
        return None
    return next((model for part in get_args(annotation) if (model := _model(part))), None)


def _entry(annotation: Any) -> Any:
    """Return the type of the entries of a mapping or list type."""
    if get_origin(annotation) is dict:
        return get_args(annotation)[1]
    if get_origin(annotation) is tuple:
        return get_args(annotation)[0]
    return next((found for part in get_args(annotation) if (found := _entry(part))), None)
