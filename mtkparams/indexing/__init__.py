"""Reading and writing by name: specs looked up once, values alone, vectors of named values."""

from ._batched import BatchedInterface as BatchedInterface
from ._buffer import remake_buffer as remake_buffer
from ._get import getp as getp
from ._get import getsym as getsym
from ._kinds import kinds as kinds
from ._pack import pack as pack
from ._pack import unpack as unpack
from ._set import setp as setp
from ._set import setsym as setsym
