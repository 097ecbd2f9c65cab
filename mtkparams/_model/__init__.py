"""What a modeler writes: declarations of parameters, unknowns and equations."""

from . import sources as sources
from .complete import check_start as check_start
from .complete import model_of as model_of
from .complete import stand_in as stand_in
from .declare import parameters as parameters
from .flatten import Flat as Flat
from .flatten import flatten as flatten
from .model import Model as Model
from .model import join as join
from .parameter import Parameter as Parameter
from .read import is_time as is_time
from .read import read_at as read_at
from .read import unknown as unknown
from .scope import at_start as at_start
from .solve_for import SOLVE as SOLVE
from .system import System as System
from .unknowns import Unknown as Unknown
