"""Equations of which only the structure is known, and how to solve them block by block.

This chapter knows functions and integers only, nothing of models, names or parameters.
"""

from ._analyse import Structure as Structure
from ._analyse import analyse as analyse
from ._decompose import Block as Block
from ._decompose import Parts as Parts
from ._decompose import decompose as decompose
from ._found import Found as Found
from ._graph import Graph as Graph
from ._incidence import incidence as incidence
from ._matching import Part as Part
from ._monolithic import least_squares as least_squares
from ._monolithic import solve_whole as solve_whole
from ._nodes import Op as Op
from ._settings import Settings as Settings
from ._sizes import sizes as sizes
from ._solve import solve_blocks as solve_blocks
