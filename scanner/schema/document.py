"""YAML 1.2 text to a tree whose every part knows its file, line and column."""

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent, DocumentStartEvent
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from scanner.errors import InputError

LARGEST_TEXT = 1 << 20
DEEPEST = 24
MOST_NODES = 200_000
LONGEST_NUMBER = 60

_SCALARS = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class Mark:
    """A place in a file; lines and columns count from one."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a definition."""

    mark: Mark
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.mark}: {self.path}: {self.message}" if self.path else f"{self.mark}: {self.message}"


class DefinitionError(InputError):
    """All problems of one definition, in the order of its lines.

    Attributes
    ----------
    problems : tuple of Problem
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda found: (found.mark.line, found.mark.column)))
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type["DefinitionError"], tuple[tuple[Problem, ...]]]:
        return DefinitionError, (self.problems,)


@dataclass(frozen=True)
class Node:
    """A value of the document and where it stands; mappings and lists hold nodes."""

    value: Any
    mark: Mark
    keys: dict[str, Mark] = field(default_factory=dict)
    """Where each key of a mapping stands."""

    def plain(self) -> Any:
        """Return the value without its places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def find(self, path: Sequence[str | int], *, key: bool = False) -> Mark:
        """Return where the deepest known part of a path stands; its key rather than its value on request."""
        node, mark = self, self.mark
        for number, step in enumerate(path):
            child = node.child(step)
            if child is None:
                break
            last = number == len(path) - 1
            mark = node.keys[str(step)] if key and last and str(step) in node.keys else child.mark
            node = child
        return mark

    def child(self, step: str | int) -> "Node | None":
        """Return one entry, or None."""
        if isinstance(self.value, dict):
            return self.value.get(step)
        if isinstance(self.value, list) and isinstance(step, int) and step < len(self.value):
            found: Node = self.value[step]
            return found
        return None

    def with_entries(self, **entries: "Node") -> "Node":
        """Return a mapping with entries added or replaced."""
        keys = {key: self.keys.get(key, node.mark) for key, node in entries.items()}
        return replace(self, value={**self.value, **entries}, keys={**self.keys, **keys})

    def without(self, *names: str) -> "Node":
        """Return a mapping without some entries."""
        return replace(self, value={key: node for key, node in self.value.items() if key not in names})


def read(text: str, file: str) -> Node:
    """Read one YAML document.

    Raises
    ------
    DefinitionError
        If it is no YAML, or holds a duplicate key, a tag, a key that is no text, NaN or infinity; or is
        larger or deeper than any definition.
    """
    start = Mark(file, 1, 1)
    if len(text) > LARGEST_TEXT:
        raise _error(start, f"the definition has {len(text)} characters, more than {LARGEST_TEXT}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _check_depth(text, file)
            node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        raise _error(_place(error, file), f"not valid YAML: {_reason(error)}") from None
    except YAMLError as error:
        raise _error(start, f"not valid YAML: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(node, MappingNode):
        raise _error(start, "a definition is a mapping of keys to values; this file holds none")
    return _Reader(file).convert(node, 0)


def _error(mark: Mark, message: str, path: str = "") -> DefinitionError:
    return DefinitionError([Problem(mark, path, message)])


def _place(error: MarkedYAMLError, file: str) -> Mark:
    mark = error.problem_mark or error.context_mark
    return Mark(file, mark.line + 1, mark.column + 1) if mark else Mark(file, 1, 1)


def _reason(error: MarkedYAMLError) -> str:
    return " ".join(part for part in (error.context, error.problem) if part)


def _check_depth(text: str, file: str) -> None:
    """Bound the depth by the flat stream of events, before anything recursive sees the text."""
    depth, documents = 0, 0
    for event in _events(text):
        if isinstance(event, CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise _error(_mark(event, file), f"nested deeper than {DEEPEST} levels")
        elif isinstance(event, CollectionEndEvent):
            depth -= 1
        elif isinstance(event, DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise _error(_mark(event, file), "a second document starts here; a file holds one definition")


def _events(text: str) -> Iterator[Any]:
    yield from YAML(typ="safe", pure=True).parse(text)


def _mark(thing: Any, file: str) -> Mark:
    return Mark(file, thing.start_mark.line + 1, thing.start_mark.column + 1)


class _Reader:
    """Converts composed nodes; counts them, since aliases may repeat a part many times."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.count = 0

    def convert(self, node: Any, depth: int) -> Node:
        self.count += 1
        mark = _mark(node, self.file)
        if self.count > MOST_NODES or depth > DEEPEST:
            raise _error(mark, f"more than {MOST_NODES} values or {DEEPEST} levels: aliases repeat too much")
        if isinstance(node, MappingNode):
            return self._mapping(node, mark, depth)
        if isinstance(node, SequenceNode):
            self._check_tag(node, "seq", mark)
            return Node([self.convert(item, depth + 1) for item in node.value], mark)
        return Node(self._scalar(node, mark), mark)

    def _mapping(self, node: MappingNode, mark: Mark, depth: int) -> Node:
        self._check_tag(node, "map", mark)
        entries: dict[str, Node] = {}
        keys: dict[str, Mark] = {}
        for key_node, value_node in node.value:
            place = _mark(key_node, self.file)
            key = self._key(key_node, place)
            if key in entries:
                raise _error(place, f"the key {key!r} stands twice; it is first on line {keys[key].line}")
            entries[key], keys[key] = self.convert(value_node, depth + 1), place
        return Node(entries, mark, keys)

    def _key(self, node: Any, mark: Mark) -> str:
        if not isinstance(node, ScalarNode) or not node.value or "\n" in node.value:
            raise _error(mark, "a key must be a short text")
        return str(node.value)

    def _check_tag(self, node: Any, kind: str, mark: Mark) -> None:
        if str(node.tag) != _SCALARS + kind:
            raise _error(mark, f"the tag {str(node.tag)!r} is not allowed: definitions hold plain values")

    def _scalar(self, node: ScalarNode, mark: Mark) -> Any:
        kind, text = str(node.tag).removeprefix(_SCALARS), str(node.value)
        if kind == "str":
            return text
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind in {"int", "float"}:
            return _number(text, mark)
        raise _error(mark, f"the tag {str(node.tag)!r} is not allowed: definitions hold plain values")


def _number(text: str, mark: Mark) -> int | float:
    if len(text) > LONGEST_NUMBER:
        raise _error(mark, f"the number has {len(text)} characters, more than {LONGEST_NUMBER}")
    written = text.replace("_", "").lower()
    if written.lstrip("+-") in {".nan", ".inf", "nan", "inf"}:
        raise _error(mark, f"{text} is not a finite number")
    try:
        value: int | float = int(written, 0 if written.lstrip("+-")[:2] in {"0x", "0o", "0b"} else 10)
    except ValueError:
        try:
            value = float(written)
        except ValueError:
            raise _error(mark, f"{text!r} is not a number: quote it if it is text") from None
    if not math.isfinite(value):
        raise _error(mark, f"{text} is not a finite number")
    return value
