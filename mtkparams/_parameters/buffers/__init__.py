"""Values in their buffers: chosen, read, written, copied."""
