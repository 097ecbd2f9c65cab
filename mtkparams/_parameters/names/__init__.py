"""Names and the places they stand for; no values."""
