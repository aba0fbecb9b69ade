"""Flow sets and event queues."""

import errno
import time
import unittest

from ouroboros import event
from ouroboros.event import *

from tests.support import DaemonTest, PATIENCE, eventually


class Sets(DaemonTest):
    def setUp(self):
        self.pairs = [self.pair() for _ in range(3)]
        self.fq = FEventQueue()

    def waiting(self, fs, n, kinds=(FEventType.FlowPkt,)):
        """Waits until n events have come."""
        got = []
        while len(got) < n:
            fs.wait(self.fq, PATIENCE)
            got += [e for e in self.fq if e[1] in kinds]
        return got

    def test_an_event_for_each_message(self):
        f, g = self.pairs[0]
        with FlowSet([f]) as fs:
            for i in range(5000):
                g.writeline(str(i))
                if i % 500 == 499:
                    events = self.waiting(fs, 500)
                    self.assertTrue(all(e == (f, FEventType.FlowPkt) for e in events))
                    self.assertEqual([f.readline() for _ in events],
                                     [str(k) for k in range(i - 499, i + 1)])
            with self.assertRaises(FlowEventTimeout):
                fs.wait(self.fq, 0)

    def test_the_flow_that_was_added_comes_back(self):
        with FlowSet(f for f, _ in self.pairs) as fs:
            for _, g in self.pairs:
                g.writeline("x")
            self.assertEqual({id(e[0]) for e in self.waiting(fs, 3)}, {id(f) for f, _ in self.pairs})

    def test_unread_messages_are_one_event_for_who_is_added(self):
        f, g = self.pairs[0]
        for _ in range(3):
            g.writeline("x")
        with FlowSet([f]) as fs:
            fs.wait(self.fq, PATIENCE)
            self.assertEqual(len(self.fq), 1)

    def test_a_flow_is_in_one_set(self):
        f, _ = self.pairs[0]
        with FlowSet([f]) as fs, FlowSet() as other:
            for s in (fs, other):
                for kind in (ValueError, MemoryError):
                    with self.assertRaises(kind) as c:
                        s.add(f)
                    self.assertEqual(c.exception.errno, errno.EPERM)
            fs.remove(f)
            other.remove(f)  # was not in it
            other.add(f)

    def test_a_flow_that_is_not_allocated(self):
        with FlowSet() as fs:
            for kind in (FlowNotAllocatedException, MemoryError):
                with self.assertRaises(kind):
                    fs.add(Flow())
        with self.assertRaises(MemoryError):
            FlowSet([self.pairs[0][0], Flow()])
        FlowSet([self.pairs[0][0]]).destroy()  # the failure before has left nothing

    def test_what_was_removed_says_nothing(self):
        (f, g), (f2, g2), _ = self.pairs
        with FlowSet([f, f2]) as fs:
            fs.remove(f)
            g.writeline("x")
            g2.writeline("y")
            self.assertEqual(self.waiting(fs, 1), [(f2, FEventType.FlowPkt)])
            fs.zero()
            g2.writeline("y")
            with self.assertRaises(FlowEventTimeout):
                fs.wait(self.fq, 0.01)

    def test_removed_while_waiting(self):
        (f, g), (f2, g2), _ = self.pairs
        with FlowSet([f, f2]) as fs:
            waiter = self.in_thread(lambda: fs.wait(self.fq, PATIENCE))
            fs.remove(f)
            g.writeline("x")
            g2.writeline("y")
            waiter.result()
            self.assertEqual(self.fq.next(), (f2, FEventType.FlowPkt))

    def test_the_end_of_a_flow(self):
        f, g = self.pairs[0]
        with FlowSet([f]) as fs:
            g.dealloc()
            self.assertEqual(self.waiting(fs, 1, (FEventType.FlowDealloc,)), [(f, FEventType.FlowDealloc)])

    def test_down_and_up(self):
        f, g = self.pairs[0]
        with FlowSet([f]) as fs:
            g.set_flags(FlowProperties.ReadWrite | FlowProperties.Down)
            self.waiting(fs, 1, (FEventType.FlowDown,))
            g.set_flags(FlowProperties.ReadWrite)
            self.waiting(fs, 1, (FEventType.FlowUp,))

    def test_time_outs(self):
        with FlowSet([self.pairs[0][0]]) as fs:
            for timeo in (0, -1, 0.02):
                with self.assertRaises(FlowEventTimeout) as c:
                    fs.wait(self.fq, timeo)
                self.assertIsInstance(c.exception, FlowEventError)
                self.assertIsInstance(c.exception, TimeoutError)
                self.assertEqual(c.exception.errno, errno.ETIMEDOUT)

    def test_events_that_are_left_come_first(self):
        (f, g), _, _ = self.pairs
        with FlowSet([f]) as fs:
            g.writeline("x")
            fs.wait(self.fq, PATIENCE)
            began = time.monotonic()
            fs.wait(self.fq)  # returns though nothing new comes
            self.assertLess(time.monotonic() - began, PATIENCE)
            self.assertEqual(len(self.fq), 1)

    def test_an_empty_queue(self):
        self.assertFalse(self.fq)
        self.assertEqual(len(self.fq), 0)
        self.assertEqual(list(self.fq), [])
        with self.assertRaises(FlowEventError):
            self.fq.next()

    def test_after_its_end(self):
        fs = FlowSet([self.pairs[0][0]])
        fs.destroy()
        fs.destroy()
        for call in (lambda: fs.add(self.pairs[0][0]), lambda: fs.remove(self.pairs[0][0]),
                     fs.zero, lambda: fs.wait(self.fq, 0)):
            with self.assertRaises(ValueError):
                call()
        with FlowSet() as fs:
            fs.destroy()
        self.assertEqual(repr(fs), "<FlowSet, destroyed>")

    def test_destroyed_while_waiting(self):
        for timeo in (None, PATIENCE):
            fs = FlowSet([self.pairs[0][0]])
            waiters = [self.in_thread(lambda: fs.wait(FEventQueue(), timeo)) for _ in range(2)]
            eventually(lambda: fs._FlowSet__waiting == 2, "both wait")
            fs.destroy()
            FlowSet([self.pairs[0][0]]).destroy()  # the flow is free at once
            for w in waiters:
                with self.assertRaises(ValueError):
                    w.result()
        sets = [FlowSet() for _ in range(31)]  # all were given back
        for fs in sets:
            fs.destroy()

    def test_there_are_31(self):
        sets = []
        with self.assertRaises(MemoryError):
            for _ in range(32):
                sets.append(FlowSet())
        self.assertEqual(len(sets), 31)
        for s in sets:
            s.destroy()

    def test_a_deallocated_member(self):
        (f, g), (f2, g2), _ = self.pairs
        with FlowSet([f, f2]) as fs:
            g.writeline("x")
            f.dealloc()
            g2.writeline("y")
            self.assertEqual(self.waiting(fs, 1), [(f2, FEventType.FlowPkt)])

    def test_names_of_dev_are_there(self):
        for name in ("flow_alloc", "flow_accept", "flow_join", "Flow", "QoSSpec"):
            self.assertIn(name, event.__all__)

    def test_types(self):
        self.assertEqual({t.name: int(t) for t in FEventType}, dict(
            FlowPkt=1, FlowDown=2, FlowUp=4, FlowAlloc=8, FlowDealloc=16, FlowPeer=32))


if __name__ == "__main__":
    unittest.main()
