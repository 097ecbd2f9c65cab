"""Blocks solved one after another: a schedule, Newton's method, verdicts, and one implicit derivative."""
