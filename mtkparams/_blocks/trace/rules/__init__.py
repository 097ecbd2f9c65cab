"""What the operations of JAX do to nodes, a file for each family of them."""
