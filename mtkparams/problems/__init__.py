"""Running a model: a problem, its solve, and the solution by name."""

from . import _indexing as _indexing  # registers problems and solutions as sources of names
from ._bare import DiffraxArguments as DiffraxArguments
from ._bare import from_diffrax as from_diffrax
from ._bare import to_diffrax as to_diffrax
from ._batch import batch as batch
from ._ensemble import Ensemble as Ensemble
from ._ensemble import solve_ensemble as solve_ensemble
from ._entry import solve as solve
from ._initialize import Initialization as Initialization
from ._initialize import initialize as initialize
from ._nonlinear import NonlinearProblem as NonlinearProblem
from ._nonlinear import NonlinearSolution as NonlinearSolution
from ._problem import ODEProblem as ODEProblem
from ._remake import remake as remake
from ._solution import Solution as Solution
from ._structure import structure as structure
from ._values import UNSET as UNSET
