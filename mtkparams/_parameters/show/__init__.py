"""A parameter object as people see it."""
