"""What all tests share."""

import os

from hypothesis import settings

# The machine that runs the tests may be busy: examples are counted, not timed. They are the same in every
# run, so that a change is what makes a test fail; DARKSCAN_EXPLORE=1 looks at others.
settings.register_profile(
    "darkscan", deadline=None, print_blob=True, derandomize="DARKSCAN_EXPLORE" not in os.environ
)
settings.load_profile("darkscan")
