"""Signals, the end of the interpreter, and what needs no daemon."""

import os
import signal
import tempfile
import time
import unittest

from tests.support import DaemonTest, PATIENCE, await_line, python, run, stop

# A program that waits in a call, and says what Ctrl-C did to it. Before the
# call it starts a thread that says "waiting" when it sees the main thread wait.
WAITER = """
import os, sys, threading, time
from ouroboros.event import *
from ouroboros import irm, cli, aio

def say_when_waiting():
    # The main thread sleeps in poll once it has nothing else to do.
    while True:
        with open(f"/proc/self/task/{os.getpid()}/wchan") as f:
            if "poll" in f.read():
                print("waiting", flush=True)
                return
        time.sleep(0.01)

def ready():
    threading.Thread(target=say_when_waiting, daemon=True).start()

name = sys.argv[1]
try:
    irm.bind_process(os.getpid(), name)
    %s
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""

PAIR = """
    a = []
    t = threading.Thread(target=lambda: a.append(flow_accept()))
    t.start()
    f = flow_alloc(name)
    t.join()
    g = a[0]
    """


FULL = """
    f.set_flags(FlowProperties.ReadWrite | FlowProperties.NonBlocking)
    try:
        while True:
            f.write(bytes(10000))
    except BlockingIOError:
        f.set_flags(FlowProperties.ReadWrite)
    """


class CtrlC(DaemonTest):
    CALLS = {
        "accept": "ready(); flow_accept()",
        "accept with a time-out": "ready(); flow_accept(1000)",
        "read": PAIR + "ready(); f.read()",
        "read with a time-out": PAIR + "f.set_rcv_timeout(1000); ready(); f.read()",
        "readline": PAIR + "ready(); f.readline()",
        "write": PAIR + FULL + "ready(); f.write(bytes(10000))",
        "wait": PAIR + "fs, fq = FlowSet([f]), FEventQueue(); ready(); fs.wait(fq)",
        "wait with a time-out": PAIR + "fs, fq = FlowSet([f]), FEventQueue(); ready(); fs.wait(fq, 1000)",
    }

    def test_each_call_that_waits_ends(self):
        for call, code in self.CALLS.items():
            with self.subTest(call=call):
                name = self.name()
                p = python("-c", WAITER % code, name)
                try:
                    await_line(p, "waiting")
                    began = time.monotonic()
                    p.send_signal(signal.SIGINT)
                    await_line(p, "interrupted")
                    self.assertLess(time.monotonic() - began, PATIENCE / 2)
                    self.assertEqual(p.wait(PATIENCE), 0)
                finally:
                    stop(p)

    def test_it_is_usable_afterwards(self):
        code = """
    try:
        ready()
        flow_accept()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    for _ in range(3):
        with flow_accept() as f:
            f.writeline(f.readline())
"""
        from ouroboros.dev import flow_alloc
        from ouroboros import cli
        name = self.name()
        from ouroboros import irm
        irm.unbind_process(os.getpid(), name)
        p = python("-c", WAITER % code, name)
        try:
            await_line(p, "waiting")
            p.send_signal(signal.SIGINT)
            await_line(p, "interrupted")
            for i in range(3):
                with flow_alloc(name) as f:
                    f.writeline(str(i))
                    self.assertEqual(f.readline(), str(i))
            self.assertEqual(p.wait(PATIENCE), 0)
        finally:
            stop(p)

    def test_a_handler_that_does_not_raise_lets_the_call_go_on(self):
        code = """
    import signal
    signal.signal(signal.SIGUSR1, lambda *_: print("handled", flush=True))
    ready()
    flow_accept()
"""
        name = self.name()
        p = python("-c", WAITER % code, name)
        try:
            await_line(p, "waiting")
            for _ in range(3):
                p.send_signal(signal.SIGUSR1)
                await_line(p, "handled")
            self.assertIsNone(p.poll())
            p.send_signal(signal.SIGINT)
            await_line(p, "interrupted")
        finally:
            stop(p)

    def test_a_handler_may_raise_what_it_likes(self):
        code = """
    import signal
    class Alarm(Exception): pass
    def ring(*_): raise Alarm("rung")
    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        flow_accept()
    except Alarm as e:
        print("got", e, flush=True)
"""
        p = python("-c", WAITER % code, self.name())
        try:
            await_line(p, "got rung")
            self.assertEqual(p.wait(PATIENCE), 0)
        finally:
            stop(p)

    def test_asyncio_ends(self):
        code = """
    import asyncio
    ready()
    asyncio.run(aio.serve(lambda f: f.read()))
"""
        p = python("-c", WAITER % code, self.name())
        try:
            await_line(p, "waiting")
            p.send_signal(signal.SIGINT)
            await_line(p, "interrupted")
            self.assertEqual(p.wait(PATIENCE), 0)
        finally:
            stop(p)


class Exit(DaemonTest):
    def ends_cleanly(self, code):
        r = run("-c", WAITER % code, self.name())
        self.assertEqual((r.returncode, r.stderr), (0, ""))

    def test_with_open_flows(self):
        self.ends_cleanly(PAIR + "f.writeline('x')")

    def test_with_threads_that_wait(self):
        self.ends_cleanly(PAIR + """
    for call in (f.read, g.read, flow_accept, lambda: FlowSet([f]).wait(FEventQueue())):
        threading.Thread(target=call, daemon=True).start()
    time.sleep(0.1)
""")

    def test_with_sets_and_queues(self):
        self.ends_cleanly(PAIR + """
    fq = FEventQueue()
    fs = FlowSet([f])
    g.writeline("x")
    fs.wait(fq)
""")

    def test_the_peer_is_told(self):
        from ouroboros.dev import FlowDownException, flow_alloc
        from ouroboros import irm
        name = self.name()
        irm.unbind_process(os.getpid(), name)
        p = python("-c", WAITER % "ready(); f = flow_accept(); print(f.readline()); f.writeline('bye')", name)
        try:
            await_line(p, "waiting")
            with flow_alloc(name, timeo=PATIENCE) as f:
                f.writeline("hello")
                self.assertEqual(f.readline(), "bye")
                with self.assertRaises(FlowDownException):
                    f.readline()
            self.assertEqual(p.wait(PATIENCE), 0)
        finally:
            stop(p)


class Fork(DaemonTest):
    def test_a_child_is_told_that_it_cannot(self):
        code = PAIR + """
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            f.read()
        except FlowNotAllocatedException as e:
            os.write(w, f"{e.errno} {e}".encode())
        os._exit(0)
    os.waitpid(pid, 0)
    print(os.read(r, 1000).decode())
    f.writeline("still works")
    print(g.readline())
"""
        r = run("-c", WAITER % code, self.name())
        self.assertIn("9 cannot use the network in a process that was forked", r.stdout)
        self.assertIn("still works", r.stdout)
        self.assertEqual(r.returncode, 0, r.stderr)


class WithoutDaemon(unittest.TestCase):
    def test_modules_can_be_imported(self):
        with tempfile.TemporaryDirectory() as nothing:
            r = run("-c", """
import ouroboros.dev, ouroboros.event, ouroboros.irm, ouroboros.cli, ouroboros.aio, ouroboros.qos
from ouroboros.dev import *
from ouroboros import irm
for call in (lambda: flow_alloc("x"), lambda: flow_accept(), lambda: flow_join("x")):
    try:
        call()
    except FlowException as e:
        print(e.errno, e)
try:
    irm.list_ipcps()
except irm.IrmError as e:
    print(e.errno, e)
""", OUROBOROS_RUNTIME_DIR=nothing)
        self.assertEqual(r.returncode, 0, r.stderr)
        lines = r.stdout.splitlines()
        self.assertEqual(len(lines), 4, r.stdout)
        for line in lines:
            self.assertTrue(line.startswith("1002 "), line)
            self.assertIn("start it with: irmd", line.replace("start one with", "start it with"))


if __name__ == "__main__":
    unittest.main()
