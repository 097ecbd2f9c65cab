"""From a start to an outcome: diffrax's loop, in one phase or two, with algebraic equations inside."""
