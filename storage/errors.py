"""Errors of stores, files and parts."""


class StorageError(ValueError):
    """A file or store is missing, foreign, damaged or inconsistent; the message names it and the remedy."""

    exit_code = 2


class ConflictError(StorageError):
    """A create-only name is taken by other bytes, or another writer committed in between."""


class NonDeterminismError(StorageError):
    """Two results of one block differ: the run stops, since no cube built from them can be trusted."""

    exit_code = 1
