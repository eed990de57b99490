"""Windows whose expectation is linear in its coefficients: fits, profiles, CLs and bands."""
