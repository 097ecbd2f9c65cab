"""Parameters for differential-equation models in JAX: named outside, flat inside, each in its role."""

import importlib as _importlib
import sys as _sys
import typing as _typing

from . import errors as errors

__version__ = "0.1.0"  # the same as in pyproject.toml; a test compares them

# Every program waits for its imports, and few need all of this: a chapter comes with the first of its names.
_NAMES = {
    "_parameters": """
        Caches Constants Discrete Initial Initials MTKParameters Nonnumeric Portion Tunable
        View bounds canonicalize combine describe filter_spec from_unconstrained hasportion
        in_axes labels param_labels partition replace stack to_unconstrained
    """,
    "_lookup": """
        BatchedInterface getp getsym kinds pack remake_buffer setp setsym unpack
    """,
    "_model": """
        SOLVE Parameter System Unknown parameters
    """,
    "_initialization": """
        BrownFullBasicInit CheckInit NoInit OverrideInit
    """,
    "_problems": """
        UNSET EnsembleSolution Initialization NonlinearProblem NonlinearSolution ODEProblem Solution
        batch from_diffrax initialize remake solve solve_ensemble structure to_diffrax
    """,
    "_results": """
        RESULTS
    """,
}
_CHAPTER_OF = {name: chapter for chapter, names in _NAMES.items() for name in names.split()}
_MODULES = ("fitting", "io")
_RENAMED = {"Ensemble": "EnsembleSolution", "InitializationResult": "RESULTS"}

if _typing.TYPE_CHECKING:
    from . import fitting as fitting
    from . import io as io
    from ._initialization import BrownFullBasicInit as BrownFullBasicInit
    from ._initialization import CheckInit as CheckInit
    from ._initialization import NoInit as NoInit
    from ._initialization import OverrideInit as OverrideInit
    from ._lookup import BatchedInterface as BatchedInterface
    from ._lookup import getp as getp
    from ._lookup import getsym as getsym
    from ._lookup import kinds as kinds
    from ._lookup import pack as pack
    from ._lookup import remake_buffer as remake_buffer
    from ._lookup import setp as setp
    from ._lookup import setsym as setsym
    from ._lookup import unpack as unpack
    from ._model import SOLVE as SOLVE
    from ._model import Parameter as Parameter
    from ._model import System as System
    from ._model import Unknown as Unknown
    from ._model import parameters as parameters
    from ._parameters import Caches as Caches
    from ._parameters import Constants as Constants
    from ._parameters import Discrete as Discrete
    from ._parameters import Initial as Initial
    from ._parameters import Initials as Initials
    from ._parameters import MTKParameters as MTKParameters
    from ._parameters import Nonnumeric as Nonnumeric
    from ._parameters import Portion as Portion
    from ._parameters import Tunable as Tunable
    from ._parameters import View as View
    from ._parameters import bounds as bounds
    from ._parameters import canonicalize as canonicalize
    from ._parameters import combine as combine
    from ._parameters import describe as describe
    from ._parameters import filter_spec as filter_spec
    from ._parameters import from_unconstrained as from_unconstrained
    from ._parameters import hasportion as hasportion
    from ._parameters import in_axes as in_axes
    from ._parameters import labels as labels
    from ._parameters import param_labels as param_labels
    from ._parameters import partition as partition
    from ._parameters import replace as replace
    from ._parameters import stack as stack
    from ._parameters import to_unconstrained as to_unconstrained
    from ._problems import UNSET as UNSET
    from ._problems import EnsembleSolution as EnsembleSolution
    from ._problems import Initialization as Initialization
    from ._problems import NonlinearProblem as NonlinearProblem
    from ._problems import NonlinearSolution as NonlinearSolution
    from ._problems import ODEProblem as ODEProblem
    from ._problems import Solution as Solution
    from ._problems import batch as batch
    from ._problems import from_diffrax as from_diffrax
    from ._problems import initialize as initialize
    from ._problems import remake as remake
    from ._problems import solve as solve
    from ._problems import solve_ensemble as solve_ensemble
    from ._problems import structure as structure
    from ._problems import to_diffrax as to_diffrax
    from ._results import RESULTS as RESULTS


def __getattr__(name: str) -> _typing.Any:
    if name in _MODULES:
        return _importlib.import_module(f"{__name__}.{name}")
    if name not in _CHAPTER_OF:
        # With its name and owner, so that Python adds the nearest name that there is.
        message = f"module {__name__!r} has no attribute {name!r}"
        if name in _RENAMED:
            raise AttributeError(f"{message}: it is mtk.{_RENAMED[name]} now")
        raise AttributeError(message, name=name, obj=_sys.modules[__name__])
    found = getattr(_importlib.import_module(f"{__name__}.{_CHAPTER_OF[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_CHAPTER_OF, *_MODULES})
