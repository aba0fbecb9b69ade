"""What the tests share.

They run against the daemon in OUROBOROS_RUNTIME_DIR and are skipped without
one. Each makes names of its own, so that they do not meet.
"""

import contextlib
import itertools
import os
import pathlib
import subprocess
import sys
import threading
import unittest
import uuid
from typing import Callable, Iterator, List, Optional

from ouroboros import cli, irm
from ouroboros.dev import Flow, FlowDownException, flow_accept, flow_alloc

PATIENCE = 60.0  # seconds for what must happen; machines that test are busy

EXAMPLES = pathlib.Path(os.environ.get(
    "OUROBOROS_PYTHON", str(pathlib.Path(__file__).parent.parent))) / "examples"

_count = itertools.count(1)


def unique(word: str) -> str:
    """A name that nobody else has."""
    return f"{word}-{uuid.uuid4().hex[:8]}-{next(_count)}"


def has_daemon() -> bool:
    try:
        irm.list_ipcps()
    except irm.IrmError:
        return False
    return True


@unittest.skipUnless(has_daemon(), "no daemon runs in OUROBOROS_RUNTIME_DIR")
class DaemonTest(unittest.TestCase):
    """A test with a daemon and a layer. It fails when something it started
    does not end."""

    layer: str

    @classmethod
    def setUpClass(cls) -> None:
        cls.layer = unique("layer")
        cls.ipcp = unique("ipcp")
        cli.autoboot(cls.ipcp, irm.IpcpType.LOCAL, cls.layer)

    @classmethod
    def tearDownClass(cls) -> None:
        cli.destroy_ipcp(cls.ipcp)

    def name(self, word: str = "name") -> str:
        """A name of this process, reachable in the layer."""
        name = unique(word)
        cli.reg_name(name, layer=self.layer)
        irm.bind_process(os.getpid(), name)
        self.addCleanup(irm.destroy_name, name)
        return name

    def in_thread(self, f: Callable[[], object]) -> "Background":
        b = Background(f)
        self.addCleanup(b.join)
        return b

    def pair(self, qos: object = None) -> "tuple[Flow, Flow]":
        """Both ends of a flow: the client's and the server's."""
        name = self.name()
        accepted = self.in_thread(lambda: flow_accept(PATIENCE))
        client = flow_alloc(name, qos, PATIENCE)  # type: ignore[arg-type]
        server = accepted.result()
        for f in (client, server):
            self.addCleanup(f.__exit__, None, None, None)
        return client, server  # type: ignore[return-value]

    @contextlib.contextmanager
    def echoing(self, flows: int = 1) -> Iterator[str]:
        """A name whose flows are answered line by line."""
        name = self.name("echo")

        def serve() -> None:
            for _ in range(flows):
                with flow_accept(PATIENCE) as f:
                    try:
                        while True:
                            f.writeline(f.readline())
                    except FlowDownException:
                        pass

        server = self.in_thread(serve)
        yield name
        server.result()


class Background:
    """A function in a thread. A result that nobody wanted must be no error."""

    def __init__(self, f: Callable[[], object]) -> None:
        self._value: object = None
        self._error: Optional[BaseException] = None
        self._f = f
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._value = self._f()
        except BaseException as e:
            self._error = e

    def join(self) -> None:
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            raise AssertionError(f"{self._f} has not ended")

    def result(self) -> object:
        self.join()
        if self._error is not None:
            raise self._error
        return self._value

    def is_running(self) -> bool:
        return self._thread.is_alive()


def python(*args: str, **env: str) -> "subprocess.Popen[str]":
    """A Python program with this package, with pipes."""
    return subprocess.Popen([sys.executable, *args], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            universal_newlines=True, env=dict(os.environ, PYTHONUNBUFFERED="1", **env))


def run(*args: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Runs one to its end."""
    p = python(*args, **env)
    out, err = p.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(list(args), p.returncode, out, err)


def await_line(p: "subprocess.Popen[str]", text: str) -> List[str]:
    """Reads the output of a program up to a line with text in it."""
    lines = []
    assert p.stdout is not None
    for line in p.stdout:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"{p.args} ended without {text!r}:\n{''.join(lines)}"
                         + (p.stderr.read() if p.stderr else ""))


def stop(p: "subprocess.Popen[str]") -> None:
    if p.poll() is None:
        p.kill()
    p.communicate()


def eventually(holds: Callable[[], bool], what: str) -> None:
    """Waits for something that must happen."""
    import time
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"not after {PATIENCE} s: {what}")
        time.sleep(0.01)
