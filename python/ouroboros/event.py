"""Many flows at once: sets of flows, and queues of what happened to them.

::

    fq = FEventQueue()
    with FlowSet([f1, f2]) as fs:
        fs.wait(fq, timeo=1.0)
        for f, t in fq:
            if t == FEventType.FlowPkt:
                print(f.readline())

Each message is an event. Reading it does not take the event away, and an
event may find nothing to read: let flows be non-blocking, and read until
BlockingIOError. The module has the names of `ouroboros.dev` as well.
"""

import errno as _errno
import threading as _threading
import time as _time
from collections import deque as _deque
from enum import IntFlag
from types import TracebackType
from typing import Callable, Deque, Dict, Iterable, Iterator, List, Optional, Tuple, Type

from ouroboros import _errors
from ouroboros import dev as _dev
from ouroboros._lib import lib as _lib, native as _native, timespec as _timespec
from ouroboros.dev import *  # noqa: F401,F403
from ouroboros.dev import Flow, FlowNotAllocatedException

__all__ = _dev.__all__ + [
    "FEventQueue", "FEventType", "FlowEventError", "FlowEventTimeout",
    "FlowSet",
]


_LOOK = 1.0  # seconds after which a thread that waits looks around


class FlowEventError(Exception):
    """There is no event, or waiting for one failed."""

    errno: Optional[int] = None


class FlowEventTimeout(FlowEventError, TimeoutError):
    """No event came in time."""

    errno = TimeoutError.errno


class _NotAllocated(FlowNotAllocatedException, MemoryError):
    """A flow that is not allocated cannot be a member."""


class _Taken(ValueError, MemoryError):
    """A flow can be a member of one set."""


class FEventType(IntFlag):
    """What happened to a flow."""

    FlowPkt = 1
    """a message came"""
    FlowDown = 2
    """the flow is down"""
    FlowUp = 4
    """the flow is up again"""
    FlowAlloc = 8
    """the flow was allocated; not used by this version"""
    FlowDealloc = 16
    """the other side has deallocated"""
    FlowPeer = 32
    """the other side was silent for longer than its time-out"""


class FEventQueue:
    """What FlowSet.wait found, the oldest first.

    It is true while events are left, has their number as its length, and
    gives them in a loop, which ends when none is left.
    """

    def __init__(self) -> None:
        self.__events: Deque[Tuple[Flow, FEventType]] = _deque()
        self.__c = _lib.fqueue_create()
        if not self.__c:
            raise MemoryError("cannot create an event queue")

    def __del__(self, _destroy: Callable[..., None] = _lib.fqueue_destroy) -> None:
        _destroy(getattr(self, "_FEventQueue__c", None))

    def __repr__(self) -> str:
        return f"<FEventQueue with {len(self)} events>"

    def __len__(self) -> int:
        return len(self.__events)

    def __iter__(self) -> Iterator[Tuple[Flow, FEventType]]:
        return self

    def __next__(self) -> Tuple[Flow, FEventType]:
        try:
            return self.__events.popleft()
        except IndexError:
            raise StopIteration from None

    def next(self) -> Tuple[Flow, FEventType]:
        """The next event: a flow, and what happened to it.

        :raises FlowEventError: no event is left
        """
        try:
            return self.__events.popleft()
        except IndexError:
            raise _errors.make(FlowEventError, _errno.EPERM, "no event is left") from None


class FlowSet:
    """A set of flows; a flow is in one set at most.

    Destroy it when done: with ``with``, or destroy(). A process has 31 sets.

    :param flows: the first members
    :raises MemoryError: there are 31 sets already
    """

    def __init__(self, flows: Optional[Iterable[Flow]] = None) -> None:
        self.__c: Optional[int] = None
        self.__members: Dict[int, Flow] = {}
        self.__lock = _threading.Lock()  # of all that follows and the members
        self.__waiting = 0  # threads in wait
        self.__doomed: Optional[int] = None  # to be destroyed by the last of them
        self.__c = _lib.fset_create()
        if not self.__c:
            raise MemoryError("cannot create a flow set: this process has 31; destroy one")
        try:
            for flow in flows or ():
                self.add(flow)
        except BaseException:
            self.destroy()
            raise

    def __enter__(self) -> "FlowSet":
        return self

    def __exit__(self, exc_type: Optional[Type[BaseException]],
                 exc_value: Optional[BaseException],
                 tb: Optional[TracebackType]) -> None:
        self.destroy()

    def __del__(self) -> None:
        self.destroy()

    def __repr__(self) -> str:
        if not self.__c:
            return "<FlowSet, destroyed>"
        return f"<FlowSet of {list(self.__members.values())}>"

    def __set(self) -> int:
        if not self.__c:
            raise ValueError("the flow set was destroyed")
        return self.__c

    def add(self, flow: Flow) -> None:
        """Makes a flow a member. If it has messages, that is an event.

        :raises FlowNotAllocatedException: it holds no flow
        :raises ValueError: it is in a set already, or the set was destroyed
        :raises MemoryError: in the first two cases as well
        """
        fd = flow._Flow__fd
        with self.__lock:
            r = _lib.fset_add(self.__set(), fd)
            if r == -_errno.EPERM:
                raise _errors.make(_Taken, -r, f"cannot add {flow!r}: it is in a set already")
            if r < 0:
                raise _errors.make(_NotAllocated, -r, f"cannot add {flow!r}")
            self.__members[fd] = flow

    def remove(self, flow: Flow) -> None:
        """Takes a flow out, if it is in.

        :raises ValueError: the set was destroyed
        """
        with self.__lock:
            _lib.fset_del(self.__set(), flow._Flow__fd)
            for fd, member in list(self.__members.items()):
                if member is flow:
                    del self.__members[fd]

    def zero(self) -> None:
        """Takes all flows out.

        :raises ValueError: the set was destroyed
        """
        with self.__lock:
            _lib.fset_zero(self.__set())
            self.__members.clear()

    def wait(self, fq: FEventQueue, timeo: Optional[float] = None) -> None:
        """Waits for an event and moves all pending ones into the queue. If
        events are left in the queue, it returns at once.

        :param timeo: seconds; None waits without limit, 0 not at all
        :raises FlowEventTimeout: no event came in time
        :raises FlowEventError: waiting failed
        :raises ValueError: the set was destroyed
        """
        if fq:
            return
        with self.__lock:
            c = self.__set()
            self.__waiting += 1
        try:
            found = self.__found(c, fq._FEventQueue__c, timeo)  # type: ignore[attr-defined]
            with self.__lock:
                events = [(self.__members.get(fd) or _alias(fd), FEventType(t)) for fd, t in found]
            fq._FEventQueue__events.extend(events)  # type: ignore[attr-defined]
        finally:
            with self.__lock:
                self.__waiting -= 1
                if self.__doomed and not self.__waiting:
                    _lib.fset_destroy(self.__doomed)
                    self.__doomed = None

    def __found(self, c: int, fq: int, timeo: Optional[float]) -> List[Tuple[int, int]]:
        """Waits for events. Now and then it looks whether the set is still
        there."""
        end = None if timeo is None else _time.monotonic() + timeo
        while True:
            left = _LOOK if end is None else min(end - _time.monotonic(), _LOOK)
            t = _timespec(left)
            found = _native.events(c, fq, t.tv_sec, t.tv_nsec)  # type: ignore[union-attr]
            if not isinstance(found, int):
                return found
            self.__set()
            if found != -_errno.ETIMEDOUT:
                raise _errors.make(FlowEventError, -found, "cannot wait for events")
            if end is not None and _time.monotonic() >= end:
                raise FlowEventTimeout(-found, "no event came in time")

    def destroy(self) -> None:
        """Gives the set up; calling it again does nothing. Events that are in
        a queue stay there. Threads that wait for others get a ValueError,
        within a second."""
        with self.__lock:
            c, self.__c = self.__c, None
            if c is None:
                return
            self.__members.clear()
            if self.__waiting:
                _lib.fset_zero(c)
                self.__doomed = c
            else:
                _lib.fset_destroy(c)


def _alias(fd: int) -> Flow:
    """A flow of which only the number is known."""
    f = Flow()
    f._alias = True
    f._Flow__fd = fd
    return f
