"""Flows for asyncio.

::

    async with await flow_alloc("name") as f:     # client
        await f.writeline("hello")
        print(await f.readline())

    async def echo(f):                            # server
        async for msg in f:
            await f.write(msg)

    await serve(echo)

No thread waits behind a flow: an event loop watches one descriptor for all of
its flows, and one for each allocation or accept that is under way. A process
can hold 4032 flows. Exceptions are those of `ouroboros.dev`, but no call ever
raises BlockingIOError.
"""

import asyncio
import errno as _errno
import warnings as _warnings
from collections import deque
from types import TracebackType
from typing import (Any, AsyncIterator, Awaitable, Callable, Deque, Dict,
                    List, NoReturn, Optional, Set, Type, Union)
from weakref import WeakValueDictionary

from ouroboros import _abi, _errors
from ouroboros._lib import (lib as _lib, native as _native,
                            qos_from_c as _qos_from_c, qos_to_c as _qos_to_c,
                            timespec as _timespec)
from ouroboros._settings import DEFAULT_READ as _DEFAULT_READ, WHOLE as _WHOLE
from ouroboros._settings import FlowProperties, FlowSettings, line as _line
from ouroboros.dev import (FlowAllocatedException, FlowDeallocWarning,
                           FlowDownException, FlowException,
                           FlowNotAllocatedException, FlowPermissionException)
from ouroboros.qos import QoSSpec

__all__ = [
    "Flow", "FlowAllocatedException", "FlowDeallocWarning",
    "FlowDownException", "FlowException", "FlowNotAllocatedException",
    "FlowPermissionException", "FlowProperties", "QoSSpec", "flow_accept",
    "flow_alloc", "flow_join", "flows", "serve",
]

_TURN = 64  # calls that need not wait, after which others get their turn

_read = _native.read
_write = _native.write


class _Hub:
    """The flows of one event loop: a flow set, whose descriptor the loop
    watches while there are any."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.members: "WeakValueDictionary[int, Flow]" = WeakValueDictionary()
        self.set: Optional[int] = None
        self.queue: Optional[int] = None
        self.fd = -1
        # Accepted for a task that was cancelled in that moment.
        self.strays: Deque[int] = deque()

    def add(self, fd: int, flow: "Flow") -> None:
        if self.set is None:
            self.open()
        r = _lib.fset_add(self.set, fd)
        if r < 0:
            raise _errors.make(FlowException, -r, "cannot watch the flow")
        self.members[fd] = flow

    def remove(self, fd: int) -> None:
        if self.members.pop(fd, None) is not None and not self.members:
            self.close()

    def open(self) -> None:
        self.set = _lib.fset_create()
        if not self.set:
            self.set = None
            raise MemoryError("cannot watch flows: this process has 31 flow sets; destroy one")
        self.queue = _lib.fqueue_create()
        self.fd = _lib.ouro_fset_fd(self.set)
        if not self.queue or self.fd < 0:
            self.close()
            raise MemoryError("cannot watch flows: too many open files")
        self.loop.add_reader(self.fd, self.look)

    def close(self) -> None:
        if self.fd >= 0 and not self.loop.is_closed():
            self.loop.remove_reader(self.fd)
        if self.set:
            _lib.fset_destroy(self.set)
        if self.queue:
            _lib.fqueue_destroy(self.queue)
        self.set, self.queue, self.fd = None, None, -1

    def look(self) -> None:
        if self.set is None or self.queue is None:
            return
        events = _native.events(self.set, self.queue, 0, 0)
        if isinstance(events, int):  # it was for nothing
            return
        for fd in {e[0] for e in events}:
            flow = self.members.get(fd)
            if flow is not None:
                flow._wake()


_hubs: Dict[asyncio.AbstractEventLoop, _Hub] = {}


def _hub() -> _Hub:
    loop = asyncio.get_running_loop()
    hub = _hubs.get(loop)
    if hub is None:
        for other, left in list(_hubs.items()):
            if other.is_closed():  # with flows that nobody has deallocated
                left.close()
                del _hubs[other]
        hub = _hubs[loop] = _Hub(loop)
    return hub


def _settle(done: "asyncio.Future[None]") -> None:
    if not done.done():
        done.set_result(None)


async def _finish(op: int, qos: Optional[_abi.QoS] = None,
                  orphan: Optional[Callable[[int], None]] = None) -> int:
    """Waits for an operation of the library and gives its result. When the
    task is cancelled, so is the operation; one that had come to something is
    given to orphan."""
    if op < 0:
        return op
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    loop.add_reader(op, _settle, done)
    cancelled: Optional[BaseException] = None
    try:
        while not done.done():
            try:
                await asyncio.shield(done)
            except asyncio.CancelledError as e:
                cancelled = e
                _lib.ouro_cancel(op)  # ends it, so this loop
    finally:
        loop.remove_reader(op)
    r: int = _lib.ouro_finish(op, qos)
    if cancelled is not None:
        if r >= 0 and orphan is not None:
            orphan(r)
        raise cancelled
    return r


async def _within(what: Awaitable[Any], timeo: Optional[float]) -> Any:
    """wait_for, with the TimeoutError that all Pythons have."""
    if timeo is None:
        return await what
    try:
        return await asyncio.wait_for(what, timeo)
    except asyncio.TimeoutError:
        raise TimeoutError(_errno.ETIMEDOUT, "nothing happened in time") from None


class Flow(FlowSettings):
    """One end of a flow, or, before alloc, accept or join, of none.

    It belongs to the event loop in which it was allocated. ``async with``
    deallocates it at the end of the block; ``async for`` gives its messages
    until the peer deallocates. The flow is non-blocking, for the library: its
    flags are not to be changed but for the access mode.
    """

    def __init__(self) -> None:
        self.__fd: int = -1
        self.__hub: Optional[_Hub] = None
        self.__waiting: Deque["asyncio.Future[None]"] = deque()
        self.__writing = 0  # writes that wait for room
        self.__turn = 0
        self.__snd_timeout: Optional[float] = None
        self.__rcv_timeout: Optional[float] = None

    async def __aenter__(self) -> "Flow":
        return self

    async def __aexit__(self, exc_type: Optional[Type[BaseException]],
                        exc_value: Optional[BaseException],
                        tb: Optional[TracebackType]) -> None:
        self.__release()

    def __del__(self, _warn: Callable[..., None] = _warnings.warn) -> None:
        if getattr(self, "_Flow__fd", -1) >= 0:
            _warn(f"{self!r} was not deallocated", ResourceWarning, source=self)

    def __repr__(self) -> str:
        return f"<aio.Flow {self.__fd}>" if self.__fd >= 0 else "<aio.Flow, not allocated>"

    def __aiter__(self) -> "Flow":
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self.read(_WHOLE)
        except FlowDownException as e:
            if e.errno == _errors.EFLOWDOWN:
                raise StopAsyncIteration from None
            raise

    def __take(self, fd: int) -> None:
        """Takes a flow over, or gives it back."""
        hub = _hub()
        self.__fd = fd
        try:
            self.set_flags(FlowProperties.ReadWrite | FlowProperties.NonBlocking
                           | FlowProperties.NoPartialWrite)
            hub.add(fd, self)
        except BaseException:
            self.__fd = -1
            _lib.flow_dealloc(fd)
            raise
        self.__hub = hub

    def __release(self) -> int:
        fd, self.__fd = self.__fd, -1
        if fd < 0:
            return -_errors.ENOTALLOC
        hub, self.__hub = self.__hub, None
        r: int = _lib.flow_dealloc(fd)
        if hub is not None:
            hub.remove(fd)
        self._wake()
        return r

    def _wake(self) -> None:
        """Lets all readers look again."""
        while self.__waiting:
            w = self.__waiting.popleft()
            if not w.done():
                w.set_result(None)

    async def alloc(self, dst: str, qos: Optional[QoSSpec] = None,
                    timeo: Optional[float] = None) -> Optional[QoSSpec]:
        """As `ouroboros.dev.Flow.alloc`."""
        self._must_be_free()
        c = None if qos is None else _qos_to_c(qos)
        fd = await _finish(_lib.ouro_alloc_start(dst.encode(), c, _timespec(timeo)),
                           c, _lib.flow_dealloc)
        if fd < 0:
            _errors.fail_alloc(fd, f"cannot allocate a flow to '{dst}'")
        self.__take(fd)
        return None if c is None else _qos_from_c(c)

    async def accept(self, timeo: Optional[float] = None) -> QoSSpec:
        """As `ouroboros.dev.Flow.accept`."""
        self._must_be_free()
        strays = _hub().strays
        if strays:
            self.__take(strays.popleft())
            return self.get_qos()
        c = _abi.QoS()
        fd = await _finish(_lib.ouro_accept_start(_timespec(timeo)), c, strays.append)
        if fd < 0:
            _errors.fail_alloc(fd, "cannot accept a flow")
        self.__take(fd)
        return _qos_from_c(c)

    async def join(self, dst: str, timeo: Optional[float] = None) -> None:
        """As `ouroboros.dev.Flow.join`."""
        self._must_be_free()
        fd = await _finish(_lib.ouro_join_start(dst.encode(), _timespec(timeo)),
                           None, _lib.flow_dealloc)
        if fd < 0:
            _errors.fail_alloc(fd, f"cannot join '{dst}'")
        self.__take(fd)

    async def dealloc(self) -> None:
        """As `ouroboros.dev.Flow.dealloc`. Reads that wait end with
        FlowNotAllocatedException."""
        r = self.__release()
        if r < 0:
            raise _errors.make(FlowDeallocWarning, -r, "cannot deallocate the flow")

    async def read(self, count: Optional[int] = None) -> bytes:
        """As `ouroboros.dev.Flow.read`."""
        if count is None:
            count = _DEFAULT_READ
        await self.__yield()
        while True:
            r = _read(self.__fd, count)
            if isinstance(r, bytes):
                return r
            if r != -_errno.EAGAIN:
                self.__fail(r, "read")
            self.__turn = 0
            w = asyncio.get_running_loop().create_future()
            self.__waiting.append(w)
            await _within(w, self.__rcv_timeout)

    async def readline(self, count: Optional[int] = None) -> str:
        """As `ouroboros.dev.Flow.readline`."""
        if count is not None and count < 0:
            raise ValueError("count is negative")
        return (await self.read(_WHOLE)).decode()[:count]

    async def write(self, buf: Union[bytes, bytearray, memoryview],
                    count: Optional[int] = None) -> int:
        """As `ouroboros.dev.Flow.write`; waits while the queue is full."""
        if type(buf) is not bytes:
            buf = bytes(memoryview(buf))
        if count is None:
            count = len(buf)
        r = _write(self.__fd, buf, count) if not self.__writing else -_errno.EAGAIN
        if r == -_errno.EAGAIN:
            if count < 0:
                raise ValueError("count is negative")
            r = await self.__write_later(buf[:count])
        if r < 0:
            self.__fail(r, "write")
        await self.__yield()  # not before: writers keep their order
        return r

    async def __write_later(self, buf: bytes) -> int:
        self.__writing += 1
        try:
            op = _lib.ouro_write_start(self.__fd, buf, len(buf))
            r: int = await _within(_finish(op), self.__snd_timeout)
            return r
        finally:
            self.__writing -= 1

    def set_snd_timeout(self, timeo: Optional[float]) -> None:
        """As `ouroboros.dev.Flow.set_snd_timeout`."""
        super().set_snd_timeout(timeo)
        self.__snd_timeout = timeo

    def set_rcv_timeout(self, timeo: Optional[float]) -> None:
        """As `ouroboros.dev.Flow.set_rcv_timeout`."""
        super().set_rcv_timeout(timeo)
        self.__rcv_timeout = timeo

    async def writeline(self, ln: str, count: Optional[int] = None) -> int:
        """As `ouroboros.dev.Flow.writeline`."""
        return await self.write(_line(ln, count))

    async def __yield(self) -> None:
        """Lets others run now and then, though the flow has always work."""
        self.__turn += 1
        if self.__turn >= _TURN:
            self.__turn = 0
            await asyncio.sleep(0)

    def __fail(self, r: int, what: str) -> NoReturn:
        if self.__fd < 0:
            r = -_errors.ENOTALLOC
        _errors.fail_io(r, f"cannot {what}")


async def flow_alloc(dst: str, qos: Optional[QoSSpec] = None,
                     timeo: Optional[float] = None) -> Flow:
    """A new flow to a name; see `ouroboros.dev.Flow.alloc`."""
    f = Flow()
    await f.alloc(dst, qos, timeo)
    return f


async def flow_accept(timeo: Optional[float] = None) -> Flow:
    """The next flow to a name of this process; see `ouroboros.dev.Flow.accept`."""
    f = Flow()
    await f.accept(timeo)
    return f


async def flow_join(dst: str, timeo: Optional[float] = None) -> Flow:
    """A new flow to all members of a broadcast layer."""
    f = Flow()
    await f.join(dst, timeo)
    return f


async def flows() -> AsyncIterator[Flow]:
    """The flows to the names of this process, one after the other. Clients
    that could not be authenticated are passed over.

    :raises FlowException: no daemon answers; see errno
    """
    while True:
        try:
            f = await flow_accept()
        except FlowException as e:
            if e.errno in (_errors.ECRYPT, _errors.EAUTH):
                continue
            raise
        yield f


async def serve(handler: Callable[[Flow], Awaitable[None]], backlog: int = 16) -> None:
    """Accepts flows and runs handler for each, in a task of its own; its flow
    is deallocated when it returns. Runs until it is cancelled, and cancels the
    handlers then.

    A handler that ends with FlowDownException had lost its peer. Any other
    exception goes to the exception handler of the loop.

    :param backlog: how many flows are accepted at the same time
    :raises FlowException: no daemon answers; see errno
    """
    tasks: Set["asyncio.Task[None]"] = set()

    async def handle(f: Flow) -> None:
        async with f:
            try:
                await handler(f)
            except FlowDownException:
                pass
            except Exception as e:
                asyncio.get_running_loop().call_exception_handler(
                    {"message": f"a handler of flows failed: {e!r}", "exception": e})

    async def accept() -> None:
        async for f in flows():
            t = asyncio.ensure_future(handle(f))
            tasks.add(t)
            t.add_done_callback(tasks.discard)

    acceptors: List["asyncio.Future[None]"] = [
        asyncio.ensure_future(accept()) for _ in range(max(backlog, 1))]
    try:
        await asyncio.gather(*acceptors)
    finally:
        ending = [*acceptors, *tasks]
        for t in ending:
            t.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
