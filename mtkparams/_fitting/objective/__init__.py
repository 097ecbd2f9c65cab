"""From a problem and data to a function of one vector."""
