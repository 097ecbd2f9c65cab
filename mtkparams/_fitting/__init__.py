"""Learning a model from data: a function of one vector, its minimum, and how sure that is."""

from .answer.bands import Band as Band
from .answer.estimate import Estimate as Estimate
from .answer.estimate import fisher_information as fisher_information
from .answer.estimate import uncertainty as uncertainty
from .answer.profile import Profile as Profile
from .answer.profile import Profiles as Profiles
from .answer.report import Report as Report
from .answer.result import FitResult as FitResult
from .answer.uncertainty import Uncertainty as Uncertainty
from .file import load as load
from .file import save as save
from .fit import fit as fit
from .fit import least_squares as least_squares
from .fit import minimise as minimise
from .objective.noise import LogNormal as LogNormal
from .objective.noise import Normal as Normal
from .objective.objective import Objective as Objective
from .objective.objective import objective as objective
from .options import Checkpoint as Checkpoint
from .options import Starts as Starts
from .options import Status as Status
from .options import Watch as Watch
from .search.starts import StartTable as StartTable
