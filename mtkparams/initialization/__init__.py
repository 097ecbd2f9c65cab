"""A consistent start: what is given, what is found, and in which order."""

from ._algorithms import BrownFullBasicInit as BrownFullBasicInit
from ._algorithms import CheckInit as CheckInit
from ._algorithms import NoInit as NoInit
from ._algorithms import OverrideInit as OverrideInit
from ._conditions import Conditions as Conditions
from ._result import InitializationResult as InitializationResult
