"""Each example runs as it stands."""

import os
import pathlib
import signal
import tempfile
import unittest

from ouroboros import cli, irm
from ouroboros.dev import flow_alloc

from tests.support import DaemonTest, EXAMPLES, PATIENCE, await_line, eventually, python, run, stop, unique


class ExampleTest(DaemonTest):
    def start(self, name, *args):
        p = python(str(EXAMPLES / name), *args)
        self.addCleanup(stop, p)
        return p

    def register(self, name):
        cli.reg_name(name, layer=self.layer)
        self.addCleanup(irm.destroy_name, name)

    def interrupt(self, p):
        p.send_signal(signal.SIGINT)
        self.assertEqual(p.wait(PATIENCE), 0)

    def until_served(self, call):
        """Repeats a call until the server accepts."""
        found = []

        def served():
            r = call()
            found.append(r)
            return r.returncode == 0

        eventually(served, "the server accepts")
        return found[-1]


class Echo(ExampleTest):
    def echo(self, server, client, *args):
        self.register("oecho")
        s = self.start(server, "-l")
        await_line(s, "Starting the server.")
        for _ in range(3):
            r = run(str(EXAMPLES / client), *args)
            self.assertEqual((r.returncode, r.stderr), (0, ""))
            self.assertTrue(r.stdout.startswith("Hello, PyOuroboros!"), r.stdout)
        await_line(s, "Message from client is Hello, PyOuroboros!")
        self.interrupt(s)
        return r.stdout

    def test_one_flow(self):
        self.echo("oecho.py", "oecho.py")

    def test_a_flow_set(self):
        self.echo("oecho_set.py", "oecho_set.py")

    def test_asyncio(self):
        out = self.echo("oecho_aio.py", "oecho_aio.py", "-c", "20")
        self.assertEqual(len(out.splitlines()), 20)

    def test_a_flow_set_serves_those_who_come_while_others_stay(self):
        self.register("oecho")
        s = self.start("oecho_set.py", "-l")
        await_line(s, "Starting the server.")
        flows = [flow_alloc("oecho", timeo=PATIENCE) for _ in range(5)]
        for i, f in enumerate(reversed(flows)):
            f.writeline(str(i))
            self.assertEqual(f.readline(), str(i))
        for f in flows:
            f.dealloc()
        self.interrupt(s)

    @unittest.skipUnless(os.environ.get("OUROBOROS_PYTHON_EXAMPLES"),
                         "OUROBOROS_PYTHON_EXAMPLES does not name the directory with the examples of pyOuroboros")
    def test_those_of_pyouroboros_run_unchanged(self):
        directory = pathlib.Path(os.environ["OUROBOROS_PYTHON_EXAMPLES"])
        self.register("oecho")
        for name in ("oecho.py", "oecho_set.py"):
            with self.subTest(name=name):
                s = python(str(directory / name), "-l")
                try:
                    await_line(s, "Starting the server.")

                    def bound():
                        try:
                            irm.bind_process(s.pid, "oecho")
                        except irm.BindError:
                            return False
                        return True

                    eventually(bound, "the server is known to the daemon")
                    for _ in range(2):
                        r = run(str(directory / name))
                        self.assertEqual((r.returncode, r.stdout, r.stderr),
                                         (0, "Hello, PyOuroboros!\n", ""))
                finally:
                    stop(s)


class Chat(ExampleTest):
    def test_all_see_what_one_types(self):
        layer, ipcp = unique("chat"), unique("ipcp")
        cli.autoboot(ipcp, irm.IpcpType.BROADCAST, layer)
        self.addCleanup(cli.destroy_ipcp, ipcp)
        people = []
        for name in ("ann", "bob", "cleo"):
            p = self.start("chat.py", "--layer", layer, "--name", name)
            await_line(p, "You are in")
            for other in people:
                await_line(other, f"{name} is here")
            people.append(p)
        people[0].stdin.write("hello, grüße\n\n")
        people[0].stdin.flush()
        for other in people[1:]:
            await_line(other, "ann: hello, grüße")
        people[0].stdin.close()
        people[0].stdin = None
        for other in people[1:]:
            await_line(other, "ann has left")
        self.assertEqual(people[0].wait(PATIENCE), 0)

    def test_a_layer_that_is_not_there(self):
        r = run(str(EXAMPLES / "chat.py"), "--layer", unique("nowhere"), "--name", "ann")
        self.assertEqual(r.returncode, 1)
        self.assertTrue(r.stderr.startswith("chat: cannot join"), r.stderr)


class Transfer(ExampleTest):
    def test_files_of_several_sizes(self):
        name = unique("files")
        self.register(name)
        with tempfile.TemporaryDirectory() as d:
            for size in (0, 1, 8192, 8193, 3 << 20):
                with self.subTest(size=size):
                    source = pathlib.Path(d, f"file-{size}.bin")
                    source.write_bytes(os.urandom(size))
                    target = pathlib.Path(d, "received")
                    target.mkdir(exist_ok=True)
                    receiver = self.start("transfer.py", "receive", "--name", name, str(target))
                    await_line(receiver, "Waiting")
                    r = self.until_served(lambda: run(str(EXAMPLES / "transfer.py"), "send", "--name", name, str(source)))
                    if size:
                        self.assertIn("100 %", r.stderr)
                    await_line(receiver, "Received")
                    self.assertEqual(receiver.wait(PATIENCE), 0)
                    self.assertEqual((target / source.name).read_bytes(), source.read_bytes())

    def test_nobody_receives(self):
        with tempfile.NamedTemporaryFile() as f:
            r = run(str(EXAMPLES / "transfer.py"), "send", "--name", unique("nobody"), f.name)
        self.assertEqual(r.returncode, 1)
        self.assertTrue(r.stderr.startswith("transfer: cannot allocate"), r.stderr)


if __name__ == "__main__":
    unittest.main()
