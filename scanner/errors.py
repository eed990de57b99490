"""Errors that a user can act on."""


class InputError(ValueError):
    """Something that the user gave is wrong; the message says what, where and how to mend it."""

    exit_code = 2
