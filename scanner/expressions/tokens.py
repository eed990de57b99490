"""The first check of an expression: its length, its characters and its words.

Everything refused here never reaches Python's own parser, and gets a message of its own.
"""

import keyword
import re
from itertools import pairwise

from scanner.errors import InputError
from scanner.expressions.messages import ALLOWED, refusal

MAX_LENGTH = 4000
MAX_NESTING = 40
MAX_NUMBER_LENGTH = 40

_TOKEN = re.compile(
    r"(?P<space>[ \t]+)"
    r"|(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<operator>\*\*|<=|>=|==|!=|<(?!<)|>(?!>)|[-+*/(),])"
)
_WORDS = frozenset({"and", "or", "not", "if", "else"})
_REMEDIES = {
    "&&": "write `and`",
    "||": "write `or`",
    "<<": "shifts are not part of the language",
    ">>": "shifts are not part of the language",
    "&": "bitwise operators are not part of the language; write `and`",
    "|": "bitwise operators are not part of the language; write `or`",
    "^": "`^` is not part of the language; write `**` for a power",
    "~": "bitwise operators are not part of the language; write `not`",
    "!": "write `not`",
    ":=": "assignment is not part of the language",
    "=": "assignment and keyword arguments are not part of the language; write `==` to compare",
    "%": "`%` is not part of the language",
    "@": "`@` is not part of the language",
    "[": "indexing and lists are not part of the language; group with `(` and `)`",
    "]": "indexing and lists are not part of the language; group with `(` and `)`",
    "{": "braces are not part of the language; group with `(` and `)`",
    "}": "braces are not part of the language; group with `(` and `)`",
    ";": "one expression only",
    ":": "`:` is not part of the language",
    "#": "comments are not part of the language",
    "\\": "backslashes are not part of the language",
    "'": "text is not part of the language",
    '"': "text is not part of the language",
    "`": "back quotes are not part of the language",
    "$": "`$` is not part of the language",
    "?": "write `a if condition else b`",
    ".": "attributes are not part of the language",
    "\n": "an expression is one line",
    "\r": "an expression is one line",
    "\0": "the text holds a NUL character",
}


def check_tokens(text: str, where: str) -> None:
    """Refuse what no expression of the language can contain.

    Raises
    ------
    InputError
        For a text that is empty, too long, too deeply nested, or holds a foreign character or word.
    """
    if not text.strip():
        raise refusal(text, 0, f"it is empty; {ALLOWED}", where)
    if len(text) > MAX_LENGTH:
        raise refusal(text, MAX_LENGTH, f"it has {len(text)} characters; at most {MAX_LENGTH}", where)
    tokens = list(_scan(text, where))
    _check_nesting(text, tokens, where)
    for token, following in pairwise(tokens):
        touching = token.lastgroup == "number" and following.start() == token.end()
        if touching and following.lastgroup in ("number", "name"):
            raise refusal(text, following.start(), _number_remedy(following.group()), where)


def _scan(text: str, where: str) -> list[re.Match[str]]:
    tokens, position = [], 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise _foreign(text, position, where)
        _check_word(text, token, where)
        tokens.append(token)
        position = token.end()
    return tokens


def _foreign(text: str, position: int, where: str) -> InputError:
    for length in (2, 1):
        remedy = _REMEDIES.get(text[position : position + length])
        if remedy is not None:
            return refusal(text, position, remedy, where)
    character = text[position]
    return refusal(
        text,
        position,
        f"U+{ord(character):04X} is not part of the language; names are ASCII letters, digits and `_`",
        where,
    )


def _check_word(text: str, token: re.Match[str], where: str) -> None:
    word = token.group()
    if token.lastgroup == "number" and len(word) > MAX_NUMBER_LENGTH:
        raise refusal(
            text, token.start(), f"a number of {len(word)} characters; at most {MAX_NUMBER_LENGTH}", where
        )
    if token.lastgroup != "name" or word in _WORDS:
        return
    if keyword.iskeyword(word):
        raise refusal(
            text,
            token.start(),
            f"`{word}` is not part of the language; {ALLOWED}",
            where,
        )
    if word.startswith("__"):
        raise refusal(
            text, token.start(), "a name must not begin with `__`; give the column another name", where
        )


def _check_nesting(text: str, tokens: list[re.Match[str]], where: str) -> None:
    depth = 0
    for token in tokens:
        depth += (token.group() == "(") - (token.group() == ")")
        if depth > MAX_NESTING:
            raise refusal(text, token.start(), f"parentheses nest deeper than {MAX_NESTING}", where)
        if depth < 0:
            raise refusal(text, token.start(), "a `)` without its `(`", where)
    if depth > 0:
        raise refusal(text, len(text), f"{depth} `(` without a `)`", where)


def _number_remedy(following: str) -> str:
    if following[0] in "jJ":
        return "complex numbers are not part of the language"
    return "a number is written in decimal digits, such as 0.25 or 1e-3, apart from the next word"
