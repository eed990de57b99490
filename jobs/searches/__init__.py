"""All searches at once: quick runs, injected signals, expected limits, pages and tables of the docs."""
