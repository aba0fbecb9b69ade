"""Flows: what reads and writes give, and every exception."""

import errno
import gc
import os
import threading
import time
import unittest
import warnings

from ouroboros import _errors, irm
from ouroboros.dev import *

from tests.support import DaemonTest, PATIENCE, unique


class Exceptions(unittest.TestCase):
    """Every number of the library, and what it becomes."""

    IO = {
        errno.EAGAIN: BlockingIOError,
        errno.ETIMEDOUT: TimeoutError,
        _errors.EFLOWDOWN: FlowDownException,
        _errors.EFLOWPEER: FlowDownException,
        errno.ECONNRESET: FlowDownException,
        errno.EPERM: FlowPermissionException,
        _errors.ENOTALLOC: FlowNotAllocatedException,
        errno.EBADF: FlowNotAllocatedException,
        errno.EINVAL: ValueError,
        errno.EMSGSIZE: ValueError,
        errno.ENOMEM: MemoryError,
        _errors.ECRYPT: FlowException,
        errno.EIO: FlowException,
    }
    ALLOC = {
        errno.ETIMEDOUT: TimeoutError,
        errno.EINVAL: ValueError,
        errno.ENOMEM: MemoryError,
        errno.EPERM: FlowException,
        errno.EBADF: FlowException,
        _errors.ENAME: FlowException,
        _errors.EIPCP: FlowException,
        _errors.EIRMD: FlowException,
        _errors.EAUTH: FlowException,
        _errors.ECRYPT: FlowException,
        _errors.ENOTALLOC: FlowException,
    }

    def test_each_number_has_its_exception(self):
        for fail, table in ((_errors.fail_io, self.IO), (_errors.fail_alloc, self.ALLOC)):
            for number, kind in table.items():
                with self.subTest(number=number):
                    with self.assertRaises(kind) as c:
                        fail(-number, "cannot do it")
                    self.assertIs(type(c.exception), kind)
                    self.assertEqual(c.exception.errno, number)
                    self.assertIn("cannot ", str(c.exception))

    def test_they_are_direct_subclasses(self):
        for e in (FlowAllocatedException, FlowNotAllocatedException, FlowDownException,
                  FlowPermissionException, FlowException):
            self.assertEqual(e.__bases__, (Exception,))
        self.assertEqual(FlowDeallocWarning.__bases__, (Warning,))

    def test_nothing_works_without_a_flow(self):
        f = Flow()
        for call in (lambda: f.read(), lambda: f.readline(), lambda: f.write(b"x"),
                     lambda: f.writeline("x"), lambda: f.write(b"")):
            with self.assertRaises(FlowNotAllocatedException) as c:
                call()
            self.assertEqual(c.exception.errno, _errors.ENOTALLOC)
        for call in (f.get_qos, f.get_flags, f.get_frct_flags, f.get_snd_timeout,
                     f.get_rcv_timeout, f.get_rx_queue_len, f.get_tx_queue_len,
                     lambda: f.set_flags(FlowProperties.ReadWrite), lambda: f.set_frct_flags(0),
                     lambda: f.set_snd_timeout(1), lambda: f.set_rcv_timeout(None)):
            with self.assertRaises(FlowPermissionException):
                call()
        with self.assertRaises(FlowDeallocWarning):
            f.dealloc()
        with f:
            pass  # says nothing
        self.assertEqual(repr(f), "<Flow, not allocated>")

    def test_qos(self):
        self.assertEqual(vars(QoSSpec()), dict(
            delay=UINT32_MAX, bandwidth=0, availability=0, loss=1, ber=1, in_order=0,
            max_gap=UINT32_MAX, timeout=DEFAULT_PEER_TIMEOUT))
        self.assertEqual(DEFAULT_PEER_TIMEOUT, 120000)
        self.assertEqual((MILLION, BILLION), (10**6, 10**9))
        self.assertEqual(QoSSpec(), QoSSpec())
        self.assertNotEqual(QoSSpec(), QoSSpec(loss=0))
        self.assertNotEqual(QoSSpec(), None)
        self.assertEqual(repr(QoSSpec(loss=0, timeout=60000)), "QoSSpec(loss=0, timeout=60000)")


class Allocation(DaemonTest):
    def test_an_unknown_name(self):
        f = Flow()
        with self.assertRaises(FlowException) as c:
            f.alloc(unique("nobody"))
        self.assertEqual(c.exception.errno, _errors.ENAME)
        self.assertIn("irm name register", str(c.exception))
        with self.assertRaises(FlowNotAllocatedException):
            f.read()  # the object is as it was

    def test_a_layer_that_does_not_exist(self):
        with self.assertRaises(FlowException) as c:
            flow_join(unique("nowhere"), timeo=PATIENCE)
        self.assertEqual(c.exception.errno, _errors.EIPCP)

    def test_names_that_cannot_be(self):
        for name in ("", "x" * 256):
            with self.assertRaises(ValueError):
                flow_alloc(name)

    def test_accepting_times_out(self):
        for timeo in (0, -1, 0.01):
            with self.assertRaises(TimeoutError) as c:
                flow_accept(timeo)
            self.assertEqual(c.exception.errno, errno.ETIMEDOUT)

    def test_allocation_times_out(self):
        name = self.name()  # this process is bound to it, and does not accept
        with self.assertRaises(TimeoutError):
            flow_alloc(name, timeo=0.05)

    def test_what_is_returned(self):
        name = self.name()
        got = []
        server = self.in_thread(lambda: [got.append(flow_accept(PATIENCE)) for _ in range(2)])
        f, g = Flow(), Flow()
        self.assertIsNone(f.alloc(name))
        self.assertIsInstance(g.alloc(name, QoSSpec(ber=0)), QoSSpec)
        server.result()
        for end in (f, g, *got):
            end.dealloc()


class Deallocation(DaemonTest):
    def test_twice_is_a_warning(self):
        f, _ = self.pair()
        f.dealloc()
        with self.assertRaises(FlowDeallocWarning) as c:
            f.dealloc()
        self.assertEqual(c.exception.errno, _errors.ENOTALLOC)
        with self.assertRaises(FlowNotAllocatedException):
            f.read()

    def test_inside_with(self):
        f, g = self.pair()
        with f:
            f.dealloc()
            # The number may be given to somebody else now: the end of the
            # block must not deallocate it.
            other, _ = self.pair()
        other.write(b"still there")

    def test_a_flow_that_is_dropped_is_told_of(self):
        f, g = self.pair()
        fd = f._Flow__fd
        f = Flow()
        f._Flow__fd = fd
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            del f
            gc.collect()
        self.assertEqual([w.category for w in seen], [ResourceWarning])


class Reading(DaemonTest):
    def setUp(self):
        self.f, self.g = self.pair()

    def test_nothing_is_there(self):
        self.g.set_rcv_timeout(0.02)
        with self.assertRaises(TimeoutError) as c:
            self.g.read()
        self.assertEqual(c.exception.errno, errno.ETIMEDOUT)
        self.g.set_rcv_timeout(0)
        self.assertEqual(self.g.get_rcv_timeout(), 0)
        self.assertIs(type(self.g.get_rcv_timeout()), int)
        with self.assertRaises(TimeoutError):
            self.g.read()
        self.g.set_flags(FlowProperties.ReadWrite | FlowProperties.NonBlockingRead)
        with self.assertRaises(BlockingIOError) as c:
            self.g.read()
        self.assertEqual(c.exception.errno, errno.EAGAIN)
        self.g.set_rcv_timeout(None)
        with self.assertRaises(FlowPermissionException):
            self.g.get_rcv_timeout()

    def test_the_peer_has_gone(self):
        self.f.write(b"last")
        self.f.dealloc()
        self.assertEqual(self.g.read(), b"last")
        for _ in range(2):
            with self.assertRaises(FlowDownException) as c:
                self.g.read()
            self.assertEqual(c.exception.errno, _errors.EFLOWDOWN)
        with self.assertRaises(FlowDownException):
            self.g.write(b"x")

    def test_a_reader_that_waits_is_told_that_the_peer_has_gone(self):
        reader = self.in_thread(self.g.read)
        self.f.dealloc()
        with self.assertRaises(FlowDownException):
            reader.result()

    def test_a_reader_that_waits_is_told_that_its_flow_is_deallocated(self):
        reader = self.in_thread(self.g.read)
        self.g.dealloc()
        with self.assertRaises(FlowNotAllocatedException):
            reader.result()

    def test_parts(self):
        self.f.write(b"abcdefghij")
        self.assertEqual([self.g.read(4), self.g.read(4), self.g.read(4)], [b"abcd", b"efgh", b"ij"])
        self.f.write(b"abcd")
        self.assertEqual([self.g.read(4), self.g.read(4)], [b"abcd", b""])
        self.f.write(b"abcd")
        self.assertEqual(self.g.read(5), b"abcd")
        self.f.write(b"abcd")
        self.assertEqual([self.g.read(0), self.g.read(5)], [b"", b"abcd"])

    def test_without_parts(self):
        self.g.set_flags(FlowProperties.ReadWrite | FlowProperties.NoPartialRead)
        self.f.write(b"abcdefghij")
        with self.assertRaises(ValueError) as c:
            self.g.read(4)
        self.assertEqual(c.exception.errno, errno.EMSGSIZE)
        self.f.write(b"abcd")
        self.f.write(b"efgh")
        self.assertEqual([self.g.read(4), self.g.read(4)], [b"abcd", b"efgh"])

    def test_sizes(self):
        for n in (1, 2047, 2048, 2049, 8191, 8192, 8193, 65536, 1 << 20):
            with self.subTest(n=n):
                m = os.urandom(n)
                writer = self.in_thread(lambda: self.f.write(m))
                self.assertEqual(self.g.read((1 << 20) + 1), m)
                self.assertEqual(writer.result(), n)

    def test_a_count_that_cannot_be(self):
        for call in (lambda: self.g.read(-1), lambda: self.g.readline(-1),
                     lambda: self.g.write(b"x", -1), lambda: self.g.writeline("x", -1)):
            with self.assertRaises(ValueError):
                call()

    def test_write_only_here(self):
        self.f.set_flags(FlowProperties.ReadOnly)
        with self.assertRaises(FlowPermissionException) as c:
            self.f.write(b"x")
        self.assertEqual(c.exception.errno, errno.EPERM)
        with self.assertRaises(FlowPermissionException):
            self.f.set_flags(3)  # no such access mode

    def test_flags_of_a_new_flow(self):
        self.assertEqual(self.f.get_flags(), FlowProperties.ReadWrite | FlowProperties.NoPartialWrite)
        self.assertEqual(int(self.f.get_flags()), 0o20002)
        with self.assertRaises(FlowPermissionException):
            self.f.get_frct_flags()  # not in order
        with self.assertRaises(FlowPermissionException):
            self.f.set_frct_flags(FRCT_LINGER)


class Lines(DaemonTest):
    def setUp(self):
        self.f, self.g = self.pair()

    def test_lines_of_all_kinds(self):
        for line in ("a", "grüße, Ελλάδα, 日本", "x" * 2048, "ä" * 5000, "𐍈" * 40000):
            with self.subTest(line=line[:10]):
                writer = self.in_thread(lambda: self.f.writeline(line))
                self.assertEqual(self.g.readline(), line)
                self.assertEqual(writer.result(), len(line.encode()))

    def test_counts_are_of_characters(self):
        self.assertEqual(self.f.writeline("日本語", 2), 6)
        self.assertEqual(self.g.readline(), "日本")
        self.f.writeline("日本語")
        self.assertEqual(self.g.readline(1), "日")
        self.f.writeline("next")
        self.assertEqual(self.g.readline(), "next", "the rest of a line is dropped")

    def test_an_empty_line_is_not_sent(self):
        self.assertEqual(self.f.writeline(""), 0)
        self.f.writeline("x")
        self.assertEqual(self.g.readline(), "x")

    def test_what_is_no_text(self):
        self.f.write(b"\xff")
        with self.assertRaises(UnicodeDecodeError):
            self.g.readline()


class Writing(DaemonTest):
    def setUp(self):
        self.f, self.g = self.pair()

    def test_all_kinds_of_buffers(self):
        for buf in (b"abc", bytearray(b"abc"), memoryview(b"xabc")[1:], memoryview(bytearray(b"abc"))):
            self.assertEqual(self.f.write(buf), 3)
            self.assertEqual(self.g.read(), b"abc")
        for count, n in ((2, 2), (3, 3), (10, 3), (0, 0)):
            self.assertEqual(self.f.write(b"abc", count), n)
        with self.assertRaises(TypeError):
            self.f.write("text")

    def test_more_than_a_message_can_hold(self):
        with self.assertRaises(ValueError) as c:
            self.f.write(bytes((1 << 20) + 1))
        self.assertEqual(c.exception.errno, errno.EMSGSIZE)
        self.assertIn("in parts", str(c.exception))

    def fill(self):
        self.f.set_flags(FlowProperties.ReadWrite | FlowProperties.NonBlockingWrite)
        with self.assertRaises(BlockingIOError) as c:
            while True:
                self.f.write(bytes(10000))
        self.assertEqual(c.exception.errno, errno.EAGAIN)

    def test_the_queue_is_full(self):
        self.fill()
        self.f.set_flags(FlowProperties.ReadWrite)
        self.f.set_snd_timeout(0.02)
        with self.assertRaises(TimeoutError):
            self.f.write(bytes(10000))
        self.f.set_snd_timeout(None)
        writer = self.in_thread(lambda: self.f.write(bytes(10000)))
        self.g.set_rcv_timeout(0.01)
        while writer.is_running():
            try:
                self.g.read(20000)
            except TimeoutError:
                pass  # all is read, and the writer about to end
        self.assertEqual(writer.result(), 10000)


class Threads(DaemonTest):
    def test_two_wait_while_a_third_works(self):
        f, g = self.pair()
        reader = self.in_thread(g.read)
        acceptor = self.in_thread(lambda: flow_accept())
        name = self.name()
        # Both wait, and neither holds the interpreter: a flow of a third, on
        # which much is read and written.
        a = Flow()
        try:
            other = self.in_thread(lambda: flow_accept())
            a.alloc(name, timeo=PATIENCE)
            while acceptor.is_running() and other.is_running():
                time.sleep(0.001)
            first, last = (acceptor, other) if not acceptor.is_running() else (other, acceptor)
            b = first.result()
            for i in range(2000):
                a.writeline(str(i))
                self.assertEqual(b.readline(), str(i))
            self.assertTrue(reader.is_running())
            self.assertTrue(last.is_running())
        finally:
            a.dealloc()
            b.dealloc()
        f.writeline("end")
        self.assertEqual(reader.result(), b"end")
        with flow_alloc(name, timeo=PATIENCE):
            last.result().dealloc()

    def test_each_message_goes_to_one_of_two_readers(self):
        f, g = self.pair()
        seen, lock = [], threading.Lock()

        def read():
            while True:
                m = g.readline()
                if m == "end":
                    return
                with lock:
                    seen.append(int(m))

        readers = [self.in_thread(read) for _ in range(2)]
        for i in range(2000):
            f.writeline(str(i))
        for _ in readers:
            f.writeline("end")
        for r in readers:
            r.result()
        self.assertEqual(sorted(seen), list(range(2000)))


if __name__ == "__main__":
    unittest.main()
