"""To the best values, by any method, from one start or many."""
