"""Structure of residual functions, and solving them block by block; functions and integers only."""

from ._found import Found as Found
from ._monolithic import least_squares as least_squares
from ._monolithic import solve_whole as solve_whole
from ._settings import Settings as Settings
from ._solve import solve_blocks as solve_blocks
