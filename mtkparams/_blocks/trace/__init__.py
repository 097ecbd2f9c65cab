"""From a function to its element graph: a node for each array element, and what each depends on."""
