"""Numbers of the library turned into exceptions.

The library answers with negative numbers: those of the system, and some of
its own above 1000. Every exception raised here carries the positive number in
its attribute ``errno``.
"""

import errno as _sys
from typing import Dict, NoReturn, Optional, Type

from ouroboros._lib import lib

ENOTALLOC = 1000
EIPCPTYPE = 1001
EIRMD = 1002
EIPCP = 1003
EIPCPSTATE = 1004
EFLOWDOWN = 1005
EFLOWPEER = 1006
ENAME = 1007
ECRYPT = 1008
EAUTH = 1009

class FlowAllocatedException(Exception):
    """The object holds a flow already."""

    errno: Optional[int] = None


class FlowNotAllocatedException(Exception):
    """The object holds no flow."""

    errno: Optional[int] = None


class FlowDownException(Exception):
    """The flow has ended, or its peer has: nothing more can be read."""

    errno: Optional[int] = None


class FlowPermissionException(Exception):
    """The flow does not allow that, as writing to one that is read-only."""

    errno: Optional[int] = None


class FlowException(Exception):
    """What went wrong is in the text, and as a number in ``errno``."""

    errno: Optional[int] = None


class FlowDeallocWarning(Warning):
    """The flow could not be deallocated; most often it is already."""

    errno: Optional[int] = None


def make(kind: Type[BaseException], number: int, what: str) -> BaseException:
    """An exception with a number. what is "cannot read", for instance, and is
    said unless the library itself says what could not be done."""
    said = lib.ouro_strerror(-number).decode(errors="replace")
    if not said.startswith("cannot "):
        said = f"{what}: {said}"
    if issubclass(kind, OSError):
        return kind(number, said)
    e = kind(said)
    e.errno = number  # type: ignore[attr-defined]
    return e


# What read and write raise, and the attributes of flows.
_IO: Dict[int, Type[BaseException]] = {
    _sys.EAGAIN: BlockingIOError,
    _sys.ETIMEDOUT: TimeoutError,
    EFLOWDOWN: FlowDownException,
    EFLOWPEER: FlowDownException,
    _sys.ECONNRESET: FlowDownException,
    _sys.EPERM: FlowPermissionException,
    ENOTALLOC: FlowNotAllocatedException,
    _sys.EBADF: FlowNotAllocatedException,
    _sys.EINVAL: ValueError,
    _sys.EMSGSIZE: ValueError,
    _sys.ENOMEM: MemoryError,
}

# What alloc, accept and join raise.
_ALLOC: Dict[int, Type[BaseException]] = {
    _sys.ETIMEDOUT: TimeoutError,
    _sys.EINVAL: ValueError,
    _sys.ENOMEM: MemoryError,
}


def fail_io(result: int, what: str) -> NoReturn:
    """Raises what a negative result of reading or writing means."""
    raise make(_IO.get(-result, FlowException), -result, what)


def fail_alloc(result: int, what: str) -> NoReturn:
    """Raises what a negative result of an allocation means."""
    raise make(_ALLOC.get(-result, FlowException), -result, what)
