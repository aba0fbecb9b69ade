"""Flows: allocate one to a name, or accept one; read and write messages.

::

    f = flow_accept()              # server, bound to a name
    f = flow_alloc("name")         # client

One write is one message, and one read gives one. Times are in seconds, as
float; None waits without limit, 0 not at all. Blocking calls release the
interpreter lock, may be made from any thread, and end with KeyboardInterrupt
when Ctrl-C is pressed in the main thread. Exceptions for which the library
has a number carry it in their attribute ``errno``.
"""

import warnings as _warnings
from types import TracebackType
from typing import Callable, NoReturn, Optional, Type, Union

from ouroboros import _abi, _errors
from ouroboros._errors import (FlowAllocatedException, FlowDeallocWarning,
                               FlowDownException, FlowException,
                               FlowNotAllocatedException,
                               FlowPermissionException)
from ouroboros._lib import (lib as _lib, native as _native,
                            qos_from_c as _qos_from_c, qos_to_c as _qos_to_c,
                            timespec as _timespec)
from ouroboros._settings import DEFAULT_READ as _DEFAULT_READ, WHOLE as _WHOLE
from ouroboros._settings import FlowProperties, FlowSettings, line as _line
from ouroboros.qos import (BILLION, DEFAULT_PEER_TIMEOUT, MILLION, QoSSpec,
                           UINT32_MAX)

__all__ = [
    "BILLION", "DEFAULT_PEER_TIMEOUT", "FRCT_LINGER", "FRCT_RESCNTL",
    "FRCT_RETRANSMIT", "Flow", "FlowAllocatedException", "FlowDeallocWarning",
    "FlowDownException", "FlowException", "FlowNotAllocatedException",
    "FlowPermissionException", "FlowProperties", "MILLION",
    "QoSSpec", "UINT32_MAX", "flow_accept", "flow_alloc",
    "flow_join",
]

FRCT_RETRANSMIT = 0o1
"""Lost messages are sent again; follows from the QoS and cannot be set."""
FRCT_RESCNTL = 0o2
"""The peer's window is obeyed."""
FRCT_LINGER = 0o4
"""Deallocation waits for acknowledgements."""

_read = _native.read
_write = _native.write


class Flow(FlowSettings):
    """One end of a flow, or, before alloc, accept or join, of none.

    With ``with``, the flow is deallocated at the end of the block. A Flow
    that is dropped without that leaves its flow allocated until the process
    ends, and a ResourceWarning.
    """

    _alias = False  # made for an event of a flow that another object holds

    def __init__(self) -> None:
        self.__fd: int = -1

    def __enter__(self) -> "Flow":
        return self

    def __exit__(self, exc_type: Optional[Type[BaseException]],
                 exc_value: Optional[BaseException],
                 tb: Optional[TracebackType]) -> None:
        fd, self.__fd = self.__fd, -1
        if fd >= 0:
            _lib.flow_dealloc(fd)

    def __del__(self, _warn: Callable[..., None] = _warnings.warn) -> None:
        if getattr(self, "_Flow__fd", -1) >= 0 and not self._alias:
            _warn(f"{self!r} was not deallocated", ResourceWarning, source=self)

    def __repr__(self) -> str:
        return f"<Flow {self.__fd}>" if self.__fd >= 0 else "<Flow, not allocated>"

    def alloc(self,
              dst: str,
              qos: Optional[QoSSpec] = None,
              timeo: Optional[float] = None) -> Optional[QoSSpec]:
        """Allocates a flow to a name.

        :param dst: the name
        :param qos: what is asked for; None = raw
        :param timeo: seconds; None = 20
        :return: what was granted; None when qos is None
        :raises FlowAllocatedException: this object holds a flow
        :raises TimeoutError: nobody answered in time
        :raises FlowException: nobody knows the name, or the other side
            refused; see errno
        """
        self._must_be_free()
        c = None if qos is None else _qos_to_c(qos)
        fd = _lib.flow_alloc(dst.encode(), c, _timespec(timeo))
        if fd < 0:
            _errors.fail_alloc(fd, f"cannot allocate a flow to '{dst}'")
        self.__fd = fd
        return None if c is None else _qos_from_c(c)

    def accept(self, timeo: Optional[float] = None) -> QoSSpec:
        """Waits for the next flow to a name that this process, or the program
        that it runs, is bound to.

        :param timeo: seconds; None waits without limit
        :return: the QoS that was agreed on
        :raises FlowAllocatedException: this object holds a flow
        :raises TimeoutError: none came in time
        :raises FlowException: see errno; after 1008 and 1009 (the client
            could not be authenticated) just accept again
        """
        self._must_be_free()
        c = _abi.QoS()
        fd = _lib.flow_accept(c, _timespec(timeo))
        if fd < 0:
            _errors.fail_alloc(fd, "cannot accept a flow")
        self.__fd = fd
        return _qos_from_c(c)

    def join(self, dst: str, timeo: Optional[float] = None) -> None:
        """Joins a broadcast layer: what is written goes to all members.

        :param dst: name of the layer
        :param timeo: seconds; None = 20
        :raises FlowAllocatedException: this object holds a flow
        :raises TimeoutError: nobody answered in time
        :raises FlowException: there is no such layer; see errno
        """
        self._must_be_free()
        fd = _lib.flow_join(dst.encode(), _timespec(timeo))
        if fd < 0:
            _errors.fail_alloc(fd, f"cannot join '{dst}'")
        self.__fd = fd

    def dealloc(self) -> None:
        """Ends the flow. What was written is still delivered; what was not
        read is discarded. The object can hold another flow afterwards.

        :raises FlowDeallocWarning: there was no flow to deallocate
        """
        fd, self.__fd = self.__fd, -1
        r = _lib.flow_dealloc(fd) if fd >= 0 else -_errors.ENOTALLOC
        if r < 0:
            raise _errors.make(FlowDeallocWarning, -r, "cannot deallocate the flow")

    def write(self, buf: Union[bytes, bytearray, memoryview],
              count: Optional[int] = None) -> int:
        """Writes a message.

        :param buf: the message
        :param count: only that many bytes of it, at most
        :return: the number of bytes written; 0 for an empty message, which
            is not sent
        :raises BlockingIOError: the queue is full, and the flow non-blocking
        :raises TimeoutError: after the time of set_snd_timeout
        :raises FlowDownException: the flow is down
        :raises FlowPermissionException: the flow is read-only
        :raises FlowNotAllocatedException: there is no flow
        :raises ValueError: the flow cannot carry so much in one message, or
            count is negative
        """
        if type(buf) is not bytes:
            buf = bytes(memoryview(buf))
        r = _write(self.__fd, buf, len(buf) if count is None else count)
        if r < 0:
            self.__fail(r, "write")
        return r

    def writeline(self, ln: str, count: Optional[int] = None) -> int:
        """Writes a string as one message, in UTF-8.

        :param count: only that many characters of it, at most
        :return: the number of bytes written
        :raises ValueError: count is negative, and as write
        """
        return self.write(_line(ln, count))

    def read(self, count: Optional[int] = None) -> bytes:
        """Reads a message, or the next part of one that is longer than count.

        A part that is exactly count bytes long is followed by an empty one,
        the mark of the end, when nothing of the message is left.

        :param count: most bytes to read; None = 2048
        :raises BlockingIOError: nothing is there, and the flow non-blocking
        :raises TimeoutError: after the time of set_rcv_timeout
        :raises FlowDownException: the flow has ended, or the peer has, and
            all messages were read
        :raises FlowNotAllocatedException: there is no flow
        :raises ValueError: count is negative, or the message was longer and
            the flow has NoPartialRead: it is lost
        """
        r = _read(self.__fd, _DEFAULT_READ if count is None else count)
        if not isinstance(r, bytes):
            self.__fail(r, "read")
        return r

    def readline(self, count: Optional[int] = None) -> str:
        """Reads a message, whatever its length, as a string.

        :param count: only that many characters of it; the rest is dropped
        :raises UnicodeDecodeError: it is not in UTF-8
        :raises ValueError: count is negative, and as read
        """
        if count is not None and count < 0:
            raise ValueError("count is negative")
        return self.read(_WHOLE).decode()[:count]

    def __fail(self, r: int, what: str) -> NoReturn:
        if self.__fd < 0:
            r = -_errors.ENOTALLOC
        _errors.fail_io(r, f"cannot {what}")


def flow_alloc(dst: str,
               qos: Optional[QoSSpec] = None,
               timeo: Optional[float] = None) -> Flow:
    """A new flow to a name; see Flow.alloc."""
    f = Flow()
    f.alloc(dst, qos, timeo)
    return f


def flow_accept(timeo: Optional[float] = None) -> Flow:
    """The next flow to a name of this process; see Flow.accept."""
    f = Flow()
    f.accept(timeo)
    return f


def flow_join(dst: str,
              qos: Union[QoSSpec, float, None] = None,
              timeo: Optional[float] = None) -> Flow:
    """A new flow to all members of a broadcast layer; see Flow.join.

    :param qos: not looked at, because the layer has its own; a number here
        is taken as timeo
    """
    if isinstance(qos, (int, float)) and timeo is None:
        timeo = qos
    f = Flow()
    f.join(dst, timeo)
    return f
