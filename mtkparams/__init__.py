"""Parameters for differential-equation models in JAX: named outside, flat inside, each in its role."""

import importlib as _importlib
import typing as _typing

from . import errors as errors
from .indexing import BatchedInterface as BatchedInterface
from .indexing import getp as getp
from .indexing import getsym as getsym
from .indexing import kinds as kinds
from .indexing import pack as pack
from .indexing import remake_buffer as remake_buffer
from .indexing import setp as setp
from .indexing import setsym as setsym
from .indexing import unpack as unpack
from .initialization import BrownFullBasicInit as BrownFullBasicInit
from .initialization import CheckInit as CheckInit
from .initialization import InitializationResult as InitializationResult
from .initialization import NoInit as NoInit
from .initialization import OverrideInit as OverrideInit
from .model import SOLVE as SOLVE
from .model import Parameter as Parameter
from .model import System as System
from .model import Unknown as Unknown
from .parameters import Caches as Caches
from .parameters import Constants as Constants
from .parameters import Discrete as Discrete
from .parameters import Initial as Initial
from .parameters import Initials as Initials
from .parameters import MTKParameters as MTKParameters
from .parameters import Nonnumeric as Nonnumeric
from .parameters import Portion as Portion
from .parameters import Tunable as Tunable
from .parameters import View as View
from .parameters import bounds as bounds
from .parameters import canonicalize as canonicalize
from .parameters import combine as combine
from .parameters import describe as describe
from .parameters import filter_spec as filter_spec
from .parameters import from_unconstrained as from_unconstrained
from .parameters import hasportion as hasportion
from .parameters import in_axes as in_axes
from .parameters import labels as labels
from .parameters import param_labels as param_labels
from .parameters import partition as partition
from .parameters import replace as replace
from .parameters import stack as stack
from .parameters import to_unconstrained as to_unconstrained
from .problems import UNSET as UNSET
from .problems import Ensemble as Ensemble
from .problems import Initialization as Initialization
from .problems import NonlinearProblem as NonlinearProblem
from .problems import NonlinearSolution as NonlinearSolution
from .problems import ODEProblem as ODEProblem
from .problems import Solution as Solution
from .problems import batch as batch
from .problems import from_diffrax as from_diffrax
from .problems import initialize as initialize
from .problems import remake as remake
from .problems import solve as solve
from .problems import solve_ensemble as solve_ensemble
from .problems import structure as structure
from .problems import to_diffrax as to_diffrax

# isort: split
# After the folder of the same name: the function is what `mtk.parameters` means, also to type checkers.
from .model import parameters as parameters

__version__ = "0.1.0"  # the same as in pyproject.toml; a test compares them

if _typing.TYPE_CHECKING:
    from . import fitting as fitting
    from . import io as io


def __getattr__(name: str) -> _typing.Any:
    # Few programs keep files or fit, and every one waits for its imports: these chapters come at
    # first use.
    if name in ("fitting", "io"):
        return _importlib.import_module(f"mtkparams.{name}")
    raise AttributeError(f"module 'mtkparams' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), "fitting", "io"})
