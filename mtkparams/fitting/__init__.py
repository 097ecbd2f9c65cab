"""Learning it: objectives, fits, many starts, uncertainties, reports."""

from ._drive import Status as Status
from ._fit import fit as fit
from ._fit import least_squares as least_squares
from ._fit import minimise as minimise
from ._noise import LogNormal as LogNormal
from ._noise import Normal as Normal
from ._objective import Objective as Objective
from ._objective import objective as objective
from ._plots import plot as plot
from ._plots import plot_correlation as plot_correlation
from ._plots import plot_profiles as plot_profiles
from ._plots import plot_trace as plot_trace
from ._plots import plot_waterfall as plot_waterfall
from ._profile import Profile as Profile
from ._profile import Profiles as Profiles
from ._profile_of import profile as profile
from ._report import Report as Report
from ._result import FitResult as FitResult
from ._uncertainty import Uncertainty as Uncertainty
from ._uncertainty_bands import Band as Band
from ._uncertainty_bands import bands as bands
from ._uncertainty_of import Estimate as Estimate
from ._uncertainty_of import fisher_information as fisher_information
from ._uncertainty_of import propagate as propagate
from ._uncertainty_of import uncertainty as uncertainty
