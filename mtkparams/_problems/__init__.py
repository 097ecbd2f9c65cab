"""Running a model: a problem, its solve, and the solution by name."""

from . import sources as sources
from .diffrax import DiffraxArguments as DiffraxArguments
from .diffrax import from_diffrax as from_diffrax
from .diffrax import to_diffrax as to_diffrax
from .ensemble import solve_ensemble as solve_ensemble
from .initialize import Initialization as Initialization
from .initialize import initialize as initialize
from .nonlinear import NonlinearProblem as NonlinearProblem
from .nonlinear import NonlinearSolution as NonlinearSolution
from .options import SolveOptions as SolveOptions
from .problem import ODEProblem as ODEProblem
from .remake import batch as batch
from .remake import remake as remake
from .shard import sharded as sharded
from .solution.ensemble import EnsembleSolution as EnsembleSolution
from .solution.report import SolveReport as SolveReport
from .solution.series import depends_on_time as depends_on_time
from .solution.solution import Solution as Solution
from .solve import solve as solve
from .structure import structure as structure
from .values import UNSET as UNSET
