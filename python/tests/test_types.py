"""The type hints are complete, and a type checker finds wrong programs by them."""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import ouroboros

PROGRAM = """
from ouroboros.dev import Flow, FlowProperties, QoSSpec, flow_accept, flow_alloc, flow_join
from ouroboros.event import FEventQueue, FlowSet
import ouroboros.aio as aio

def talk(name: str) -> bytes:
    with flow_alloc(name, QoSSpec(loss=0), timeo=1.5) as f:
        f.set_snd_timeout(0.5)
        f.set_flags(FlowProperties.NonBlockingRead)
        n: int = f.write(b"x")
        return f.read()[:n]

def wait(f: Flow) -> None:
    fq = FEventQueue()
    with FlowSet([f]) as fs:
        fs.wait(fq, timeo=1.0)
    flow, event = fq.next()
    text: str = flow.readline()

async def later(name: str) -> bytes:
    async with await aio.flow_alloc(name) as f:
        async for message in f:
            return message
        return await f.read()
"""

WRONG = {
    "flow_alloc(3)": "arg-type",
    "flow_alloc('x', qos=1)": "arg-type",
    "flow_accept(timeo='soon')": "arg-type",
    "Flow().write('text')": "arg-type",
    "a: str = Flow().read()": "assignment",
    "Flow().nothing()": "attr-defined",
    "FlowSet([1])": "list-item",
}


@unittest.skipUnless(shutil.which("mypy"), "mypy is not here")
class Types(unittest.TestCase):
    def setUp(self):
        d = tempfile.TemporaryDirectory()
        self.addCleanup(d.cleanup)
        self.dir = pathlib.Path(d.name)

    def check(self, *args):
        r = subprocess.run(["mypy", "--strict", "--python-executable", sys.executable, *args], cwd=self.dir, universal_newlines=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return r.returncode, r.stdout

    def test_the_package_is_typed_throughout(self):
        code, out = self.check(str(pathlib.Path(ouroboros.__file__).parent))
        self.assertEqual(code, 0, out)

    def test_programs_are_checked_by_its_types(self):
        (self.dir / "right.py").write_text(PROGRAM)
        code, out = self.check("right.py")
        self.assertEqual(code, 0, out)
        (self.dir / "wrong.py").write_text("\n".join([PROGRAM, *WRONG]))
        code, out = self.check("wrong.py")
        self.assertEqual(code, 1, out)
        first = PROGRAM.count("\n") + 2
        for n, (line, kind) in enumerate(WRONG.items(), first):
            with self.subTest(line):
                self.assertRegex(out, rf"(?m)^wrong.py:{n}: error: .*\[{kind}\]$")


if __name__ == "__main__":
    unittest.main()
