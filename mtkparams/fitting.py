"""Learning it: objectives, fits, many starts, uncertainties, reports."""

import sys as _sys
import typing as _typing

from ._fitting import Band as Band
from ._fitting import Checkpoint as Checkpoint
from ._fitting import Estimate as Estimate
from ._fitting import FitResult as FitResult
from ._fitting import LogNormal as LogNormal
from ._fitting import Normal as Normal
from ._fitting import Objective as Objective
from ._fitting import Profile as Profile
from ._fitting import Profiles as Profiles
from ._fitting import Report as Report
from ._fitting import Starts as Starts
from ._fitting import StartTable as StartTable
from ._fitting import Status as Status
from ._fitting import Uncertainty as Uncertainty
from ._fitting import Watch as Watch
from ._fitting import fisher_information as fisher_information
from ._fitting import fit as fit
from ._fitting import least_squares as least_squares
from ._fitting import load as load
from ._fitting import minimise as minimise
from ._fitting import objective as objective
from ._fitting import save as save
from ._fitting import uncertainty as uncertainty

# Names that are looked for here, and where what they mean is.
_ELSEWHERE = {
    "minimize": "mtk.fitting.minimise",
    "profile": "result.profile()",
    "bands": "result.bands()",
    "propagate": "result.estimate()",
    "plot": "result.plot()",
    "plot_trace": "result.plot_trace()",
    "plot_correlation": "result.plot_correlation()",
    "plot_waterfall": "result.plot_waterfall()",
    "plot_profiles": "result.profile().plot()",
}

if not _typing.TYPE_CHECKING:  # a type checker would believe that every name is here

    def __getattr__(name: str) -> _typing.NoReturn:
        message = f"module {__name__!r} has no attribute {name!r}"
        if name in _ELSEWHERE:
            message += f": it is {_ELSEWHERE[name]}"
        # With its name and owner, so that Python adds the nearest name that there is.
        raise AttributeError(message, name=name, obj=_sys.modules[__name__])
