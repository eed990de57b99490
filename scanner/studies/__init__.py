"""Studies of a search with pseudo-experiments: linearity, coverage and bias."""

from scanner.studies.cases import GROUP
from scanner.studies.truth import TRUTHS

STUDIES = {
    "linearity": "fitted against injected signal yields, and their pulls",
    "coverage": "how often limits cover the injected yield",
    "bias": "spurious signals from backgrounds of other shapes",
}
"""Kinds of study and what each measures."""

__all__ = ["GROUP", "STUDIES", "TRUTHS"]
