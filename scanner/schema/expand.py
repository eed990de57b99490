"""What a user may leave out or write shorter: `extends`, short keys, and named lists.

Everything here works on nodes, so that each value keeps the place where the user wrote it.
"""

import itertools
from collections.abc import Callable

from scanner import units
from scanner.errors import InputError
from scanner.schema.document import DefinitionError, Node, Problem
from scanner.schema.names import NAME

EXTENDS = "extends"
FULL_FORM = {
    "observable": ("channels", ("observable",)),
    "range": ("scan", ("range", "values")),
    "resolution": ("signal", ("resolution",)),
    "efficiency": ("signal", ("efficiency",)),
    "select": ("channels", ("select",)),
    "order": ("background", ("order",)),
}
"""Keys for a user's own spectrum: each stands for one place in the full form."""
SHORT_KEYS = tuple(FULL_FORM)
FUNCTION_KEYS = frozenset({"constant", "formula", "table", "interpolation", "outside", "unit", "arguments"})
MOST_CONFIGURATIONS = 10_000
DEEPEST_CHAIN = 5


def expand(tree: Node, read_builtin: Callable[[str, Node], Node]) -> Node:
    """Write a definition out in full.

    Parameters
    ----------
    tree : Node
        The definition as read.
    read_builtin : callable
        Gives the tree of a built-in definition by its name; the node is where it is asked for.

    Raises
    ------
    DefinitionError
        If a key has no value, or a short key has no one place to go.
    """
    merged = _check_values(_extend(tree, read_builtin, 0))
    full = _short_keys(merged)
    for key, write_out in (("regions", _named_list), ("configurations", _configurations)):
        if key in full.value:
            full = full.with_entries(**{key: write_out(full.value[key])})
    return full


def refuse(node: Node, path: str, message: str) -> DefinitionError:
    """Make the error of one place."""
    return DefinitionError([Problem(node.mark, path, message)])


def _extend(tree: Node, read_builtin: Callable[[str, Node], Node], depth: int) -> Node:
    _check_once(tree)
    base = tree.value.get(EXTENDS)
    if base is None:
        return tree
    if depth >= DEEPEST_CHAIN:
        raise refuse(base, EXTENDS, f"extends goes deeper than {DEEPEST_CHAIN} definitions")
    under = _extend(read_builtin(base.value, base), read_builtin, depth + 1)
    # What is stated in full on top replaces what is stated short beneath.
    replaced = [key for key in SHORT_KEYS if _in_full(tree, key)]
    return merge(under.without(*replaced), tree.without(EXTENDS))


def _in_full(tree: Node, short: str) -> list[Node]:
    """Return where a mapping states in full what a short key stands for."""
    section, names = FULL_FORM[short]
    owner = tree.value.get(section)
    if owner is None or not isinstance(owner.value, dict):
        return []
    owners = list(owner.value.values()) if section in {"scan", "channels"} else [owner]
    entries = (part.value for part in owners if isinstance(part.value, dict))
    return [entry[name] for entry in entries for name in names if name in entry]


def _check_once(tree: Node) -> None:
    for key in SHORT_KEYS:
        places = _in_full(tree, key) if key in tree.value else []
        if places:
            raise refuse(
                tree.value[key],
                key,
                f"{key!r} is also stated in full, on line {places[0].mark.line}: drop one",
            )


def merge(base: Node, top: Node) -> Node:
    """Lay one mapping over another; an empty value deletes, and a function replaces a function whole."""
    kept = _beneath(base, top)
    entries: dict[str, Node] = {}
    for key, node in top.value.items():
        under = kept.value.get(key)
        both = under is not None and isinstance(under.value, dict) and isinstance(node.value, dict)
        entries[key] = merge(under, node) if under is not None and both else node
    deleted = [key for key, node in entries.items() if node.value is None and key in base.value]
    joined = kept.with_entries(**entries)
    return Node(joined.without(*deleted).value, top.mark, {**base.keys, **top.keys})


def _beneath(base: Node, top: Node) -> Node:
    if top.value.keys() & {"constant", "formula", "table"}:
        return base.without(*FUNCTION_KEYS, "source")
    if "values" in top.value:
        return base.without("range", "step")
    if "range" in top.value:
        return base.without("values", "around")
    return base


def _check_values(tree: Node) -> Node:
    """Refuse keys without a value: an empty `background:` is a slip, not a wish."""
    problems: list[Problem] = []

    def visit(node: Node, path: str) -> None:
        entries = node.value.items() if isinstance(node.value, dict) else ()
        for key, child in entries:
            inner = f"{path}.{key}" if path else key
            if child.value is None:
                problems.append(Problem(node.keys[key], inner, f"the key {key!r} has no value"))
            visit(child, inner)
        for index, child in enumerate(node.value if isinstance(node.value, list) else ()):
            visit(child, f"{path}[{index}]")

    visit(tree, "")
    if problems:
        raise DefinitionError(problems)
    return tree


def _short_keys(tree: Node) -> Node:
    """Move each short key to its place in the full form."""
    given = {key: tree.value[key] for key in SHORT_KEYS if key in tree.value}
    full = tree.without(*given)
    if "range" in given:
        full = _put(full, ("scan", _only(full, "scan", "m", first=True), "range"), given["range"])
    for key in ("observable", "select"):
        if key in given:
            channel = _only(full, "channels", "all")
            full = _put(full, ("channels", channel, key), given[key])
            full = _with_source(full, ("channels", channel), given[key])
    if "observable" in given:
        full = _own_column(full, given["observable"])
    for key in ("resolution", "efficiency"):
        if key in given:
            full = _put(full, ("signal", key), _as_function(given[key]))
    if "order" in given:
        full = _put(full, ("background", "order"), given["order"])
    return full


def _only(tree: Node, key: str, default: str, *, first: bool = False) -> str:
    """Name the entry that a short key belongs to."""
    entries = tree.value.get(key)
    if entries is None or not isinstance(entries.value, dict):
        return default
    names = list(entries.value)
    if not names or (len(names) > 1 and not first):
        raise refuse(
            entries, key, f"a short key needs exactly one entry under {key!r}, and there are {len(names)}"
        )
    return str(names[0])


def _put(tree: Node, path: tuple[str, ...], node: Node) -> Node:
    if not path:
        return node
    head, rest = path[0], path[1:]
    under = tree.value.get(head)
    if under is None:
        under = Node({}, node.mark)
    if rest and not isinstance(under.value, dict):
        return tree  # what stands here is wrong, and the models say so
    return tree.with_entries(**{head: _put(under, rest, node)})


def _with_source(tree: Node, path: tuple[str, ...], place: Node) -> Node:
    """Cuts written with a short key are the user's own."""
    node: Node | None = tree
    for step in path:
        node = node.child(step) if node is not None else None
    if node is None or not isinstance(node.value, dict) or "source" in node.value:
        return tree
    return _put(tree, (*path, "source"), Node("user", place.mark))


def _as_function(node: Node) -> Node:
    entries = dict(node.value) if isinstance(node.value, dict) else {"constant": node}
    return Node({"source": Node("user", node.mark), **entries}, node.mark, dict(node.keys))


def _own_column(tree: Node, observable: Node) -> Node:
    """Declare an observable that is a plain name as a column in GeV."""
    name = observable.value
    if not isinstance(name, str) or NAME.fullmatch(name) is None:
        return tree
    columns = tree.value.get("columns")
    if columns is not None and (not isinstance(columns.value, dict) or name in columns.value):
        return tree
    return _put(tree, ("columns", name), Node("GeV", observable.mark))


def _named_list(node: Node) -> Node:
    """Write a mapping of named entries as a list of entries with a name."""
    if not isinstance(node.value, dict):
        return node
    items = [
        entry.with_entries(name=Node(name, node.keys[name])) if isinstance(entry.value, dict) else entry
        for name, entry in node.value.items()
    ]
    return Node(items, node.mark)


def _configurations(node: Node) -> Node:
    if not isinstance(node.value, dict):
        return node
    product = node.value.get("product")
    if set(node.value) != {"product"} or product is None or not isinstance(product.value, dict):
        raise refuse(
            node, "configurations", "write a list of {name, parameters}, or 'product' with lists of values"
        )
    # Sorted, so that the order of keys has no say in the order of configurations.
    lists = {
        name: _values(product.value[name], f"configurations.product.{name}") for name in sorted(product.value)
    }
    count = 1
    for values in lists.values():
        count *= len(values)
    if not 1 <= count <= MOST_CONFIGURATIONS:
        raise refuse(
            product,
            "configurations.product",
            f"{count} configurations; allowed are 1 to {MOST_CONFIGURATIONS}",
        )
    return Node(
        [_configuration(lists, chosen, product) for chosen in itertools.product(*lists.values())], node.mark
    )


def _values(node: Node, path: str) -> list[str]:
    try:
        values, unit = units.sequence(node.plain())
    except InputError as error:
        raise refuse(node, path, str(error)) from None
    return [units.format_quantity(value, unit) for value in values]


def _configuration(lists: dict[str, list[str]], chosen: tuple[str, ...], place: Node) -> Node:
    parameters = dict(zip(lists, chosen, strict=True))
    name = ",".join(f"{key}={units.quantity(text, 'number').value:g}" for key, text in parameters.items())
    nodes = {key: Node(text, place.value[key].mark) for key, text in parameters.items()}
    return Node(
        {"name": Node(name, place.mark), "parameters": Node(nodes, place.mark, dict(place.keys))}, place.mark
    )
