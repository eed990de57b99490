"""What all tests share."""

from hypothesis import settings

# The machine that runs the tests may be busy: examples are counted, not timed.
settings.register_profile("darkscan", deadline=None, print_blob=True)
settings.load_profile("darkscan")
