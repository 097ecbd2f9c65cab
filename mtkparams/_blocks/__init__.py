"""Equations of which only the structure is known, and how to solve them block by block.

This chapter knows functions and integers only, nothing of models, names or parameters.
"""

from .all_at_once import least_squares as least_squares
from .all_at_once import solve_whole as solve_whole
from .block_by_block import solve_blocks as solve_blocks
from .order.blocks import Block as Block
from .order.blocks import Parts as Parts
from .order.blocks import decompose as decompose
from .order.matching import Part as Part
from .solve.found import Found as Found
from .solve.settings import Settings as Settings
from .solve.sizes import sizes as sizes
from .structure import Structure as Structure
from .structure import analyze as analyze
from .structure import incidence as incidence
from .trace.graph import Graph as Graph
from .trace.nodes import Op as Op
