"""The numbers of the statistics guide: examples small enough to be made anew at every change of the code."""

from collections.abc import Callable, Mapping

from scanner.guide import counting, covering, spectra, windows
from scanner.guide.tables import Table

TABLES: Mapping[str, Callable[[], Table]] = {
    "limits": counting.limit_table,
    "coverage": counting.coverage_table,
    "map": covering.map_table,
    "uncertain": counting.uncertain_table,
    "priors": counting.prior_table,
    "methods": windows.method_table,
    "orders": windows.order_table,
    "elsewhere": spectra.significance_table,
}
"""Every table by the name that stands above it in a comment."""
