"""From a graph and its blocks to programs: what each block computes, and from what."""
