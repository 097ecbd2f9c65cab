"""What a modeller writes: declarations of parameters, unknowns and equations."""

from . import _indexing as _indexing  # registers systems as sources of names
from ._declare import parameters as parameters
from ._model import Model as Model
from ._parameter import Parameter as Parameter
from ._solve_for import SOLVE as SOLVE
from ._system import System as System
from ._unknown import Unknown as Unknown
