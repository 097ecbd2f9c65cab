"""From a graph to blocks: which equation is for which unknown, in which order, and which are affine."""
