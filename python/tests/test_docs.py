"""The code of docs/python.md and of the README runs as it stands."""

import contextlib
import io
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

from ouroboros import cli, irm
from ouroboros.dev import flow_alloc

from tests.support import PATIENCE, eventually, has_daemon

SOURCE = pathlib.Path(os.environ.get("OUROBOROS_PYTHON", str(pathlib.Path(__file__).parent.parent)))
PAGE = SOURCE.parent / "docs" / "python.md"


def blocks(path):
    return re.findall(r"^```python\n(.*?)^```$", path.read_text(), re.M | re.S)


@unittest.skipUnless(has_daemon(), "no daemon runs in OUROBOROS_RUNTIME_DIR")
@unittest.skipUnless(PAGE.exists(), "docs/python.md is not here")
class Page(unittest.TestCase):
    def tearDown(self):
        # Others may use the daemon, too.
        for name in ("greeter", "shout"):
            with contextlib.suppress(irm.IrmError):
                irm.destroy_name(name)
        for name in ("l1", "b1"):
            with contextlib.suppress(ValueError):
                cli.destroy_ipcp(name)

    def test_it_runs(self):
        server = None
        space = {"__name__": "page"}
        out = io.StringIO()
        with tempfile.TemporaryDirectory() as d:
            try:
                for block in blocks(PAGE) + blocks(SOURCE / "README.md"):
                    file = re.match(r"# (\w+\.py)\n", block)
                    if file:  # a program of its own
                        path = pathlib.Path(d, file.group(1))
                        path.write_text(block)
                        server = subprocess.Popen([sys.executable, str(path)])
                        eventually(self.served, "the server of the page accepts")
                    else:
                        with contextlib.redirect_stdout(out):
                            exec(compile(block, str(PAGE), "exec"), space)
            finally:
                if server is not None:
                    server.terminate()
                    server.wait(PATIENCE)
        said = out.getvalue()
        for line in ("hello, you\n", "no word yet\n", "1007 cannot allocate a flow", "hello, set\n", "HELLO\n",
                     "to all members\n", "QoSSpec(loss=0, timeout=60000)\n1\n", "type=LOCAL, name='l1', layer='home')",
                     "1003\n"):
            self.assertIn(line, said)

    @staticmethod
    def served():
        try:
            with flow_alloc("greeter", timeo=PATIENCE) as f:
                f.writeline("test")
                return f.readline() == "hello, test"
        except Exception:
            return False

    def test_it_names_every_exception_and_example(self):
        text = PAGE.read_text()
        from ouroboros import dev
        for name in dev.__all__:
            if name.endswith(("Exception", "Warning")):
                self.assertIn(f"`{name}`", text)
        for example in (SOURCE / "examples").glob("*.py"):
            self.assertIn(f"`{example.name}`", text)


if __name__ == "__main__":
    unittest.main()
