"""What can be set and asked of a flow."""

import ctypes
from enum import IntFlag
from typing import Optional

from ouroboros import _abi, _errors
from ouroboros._errors import FlowAllocatedException, FlowPermissionException
from ouroboros._lib import control, qos_from_c, seconds_of, timespec
from ouroboros.qos import QoSSpec


DEFAULT_READ = 2048  # bytes
WHOLE = (1 << 20) + 1  # bytes; no message is that long


def line(ln: str, count: Optional[int]) -> bytes:
    """What is written of a line of which count characters are wanted."""
    if count is not None:
        if count < 0:
            raise ValueError("count is negative")
        ln = ln[:count]
    return ln.encode()


class FlowProperties(IntFlag):
    """Flags of a flow. ReadOnly is 0: include ReadWrite when setting others."""

    ReadOnly = 0o0
    WriteOnly = 0o1
    ReadWrite = 0o2
    Down = 0o4
    NonBlockingRead = 0o1000
    NonBlockingWrite = 0o2000
    NonBlocking = NonBlockingRead | NonBlockingWrite
    NoPartialRead = 0o10000
    NoPartialWrite = 0o20000


class FlowSettings:
    """The part of a flow that does not wait. All that is public raises
    FlowPermissionException when there is no flow."""

    _Flow__fd: int

    def _must_be_free(self) -> None:
        if self._Flow__fd >= 0:
            raise FlowAllocatedException(
                f"{self!r} holds a flow; deallocate it first, or take another object")

    def __control(self, command: int, argument: object, what: str) -> None:
        r = control(self._Flow__fd, command, argument)
        if r < 0:
            raise _errors.make(FlowPermissionException, -r, f"cannot {what} of the flow")

    def set_snd_timeout(self, timeo: Optional[float]) -> None:
        """Sets how long a write waits at most, in seconds; None = no limit.

        :raises FlowPermissionException: there is no flow
        """
        self.__set_time(_abi.FLOWSSNDTIMEO, timeo)

    def get_snd_timeout(self) -> float:
        """How long a write waits at most, in seconds.

        :raises FlowPermissionException: without limit
        """
        return self.__get_time(_abi.FLOWGSNDTIMEO)

    def set_rcv_timeout(self, timeo: Optional[float]) -> None:
        """Sets how long a read waits at most, in seconds; None = no limit.

        :raises FlowPermissionException: there is no flow
        """
        self.__set_time(_abi.FLOWSRCVTIMEO, timeo)

    def get_rcv_timeout(self) -> float:
        """How long a read waits at most, in seconds.

        :raises FlowPermissionException: without limit
        """
        return self.__get_time(_abi.FLOWGRCVTIMEO)

    def __set_time(self, command: int, timeo: Optional[float]) -> None:
        t = timespec(timeo)
        self.__control(command, None if t is None else ctypes.byref(t),
                       "set a time-out")

    def __get_time(self, command: int) -> float:
        t = _abi.Timespec()
        self.__control(command, ctypes.byref(t), "get a time-out")
        return seconds_of(t)

    def get_qos(self) -> QoSSpec:
        """What was agreed on.

        :raises FlowPermissionException: there is no flow
        """
        c = _abi.QoS()
        self.__control(_abi.FLOWGQOSSPEC, ctypes.byref(c), "get the QoS")
        return qos_from_c(c)

    def get_rx_queue_len(self) -> int:
        """Messages that wait to be read.

        :raises FlowPermissionException: there is no flow
        """
        return self.__get_length(_abi.FLOWGRXQLEN)

    def get_tx_queue_len(self) -> int:
        """Messages that the other side, or the layer, has not yet taken.

        :raises FlowPermissionException: there is no flow
        """
        return self.__get_length(_abi.FLOWGTXQLEN)

    def __get_length(self, command: int) -> int:
        n = ctypes.c_size_t()
        self.__control(command, ctypes.byref(n), "get a queue length")
        return n.value

    def set_flags(self, flags: FlowProperties) -> None:
        """Replaces all flags; include ReadWrite.

        :raises FlowPermissionException: there is no flow, or no such mode
        """
        self.__control(_abi.FLOWSFLAGS, ctypes.c_uint32(flags), "set the flags")

    def get_flags(self) -> FlowProperties:
        """All flags.

        :raises FlowPermissionException: there is no flow
        """
        c = ctypes.c_uint32()
        self.__control(_abi.FLOWGFLAGS, ctypes.byref(c), "get the flags")
        return FlowProperties(c.value)

    def set_frct_flags(self, flags: int) -> None:
        """Sets FRCT_RESCNTL and FRCT_LINGER; FRCT_RETRANSMIT stays.

        :raises FlowPermissionException: the flow is not in order (FRCP)
        """
        self.__control(_abi.FRCTSFLAGS, ctypes.c_uint32(flags), "set the FRCT flags")

    def get_frct_flags(self) -> int:
        """A mask of FRCT_RETRANSMIT, FRCT_RESCNTL and FRCT_LINGER.

        :raises FlowPermissionException: the flow is not in order (FRCP)
        """
        c = ctypes.c_uint16()
        self.__control(_abi.FRCTGFLAGS, ctypes.byref(c), "get the FRCT flags")
        return c.value
