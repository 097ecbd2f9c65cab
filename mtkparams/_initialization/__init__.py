"""A consistent start: what is given, what is found, and in which order."""

from .algorithms import Algorithm as Algorithm
from .algorithms import BrownFullBasicInit as BrownFullBasicInit
from .algorithms import CheckInit as CheckInit
from .algorithms import NoInit as NoInit
from .algorithms import OverrideInit as OverrideInit
from .algorithms import RootOptions as RootOptions
from .algorithms import StartOptions as StartOptions
from .conditions import Conditions as Conditions
from .failure import raise_failure as raise_failure
from .find import Start as Start
from .find import find_answer as find_answer
from .find import find_start as find_start
from .plan import plan as plan
from .report import Report as Report
from .structure import BlockStructure as BlockStructure
