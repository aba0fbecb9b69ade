"""Flows for asyncio."""

import asyncio
import gc
import os
import threading
import unittest
import warnings

from ouroboros import _errors, aio
from ouroboros.aio import *

from tests.support import DaemonTest, PATIENCE, unique


class AioTest(DaemonTest):
    def run_async(self, what):
        """Runs a coroutine; nothing that it has left may complain."""
        with warnings.catch_warnings():
            warnings.simplefilter("error", ResourceWarning)
            asyncio.run(asyncio.wait_for(what, 2 * PATIENCE))
            gc.collect()

    async def both(self, qos=None):
        """Both ends of a flow."""
        name = self.name()
        server = asyncio.ensure_future(flow_accept(PATIENCE))
        client = await flow_alloc(name, qos, PATIENCE)
        return client, await server


class Echo(AioTest):
    def test_a_server_and_a_client(self):
        async def echo(f):
            async for msg in f:
                await f.write(msg)

        async def main():
            server = asyncio.ensure_future(serve(echo))
            name = self.name()
            async with await flow_alloc(name) as f:
                await f.writeline("hello")
                self.assertEqual(await f.readline(), "hello")
            async with await flow_alloc(name, QoSSpec(loss=0)) as f:
                self.assertEqual(f.get_qos().in_order, 1)
                for i in range(300):
                    await f.write(str(i).encode())
                    self.assertEqual(await f.read(), str(i).encode())
            server.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await server

        self.run_async(main())

    def test_flows_come_in_a_loop(self):
        async def main():
            name = self.name()

            async def server():
                n = 0
                async for f in flows():
                    async with f:
                        await f.writeline((await f.readline()).upper())
                        with self.assertRaises(FlowDownException):
                            await f.read()
                    n += 1
                    if n == 3:
                        return n

            s = asyncio.ensure_future(server())
            for word in ("a", "b", "c"):
                async with await flow_alloc(name) as f:
                    await f.writeline(word)
                    self.assertEqual(await f.readline(), word.upper())
            self.assertEqual(await s, 3)

        self.run_async(main())

    def test_a_handler_that_fails_does_not_end_the_server(self):
        async def handler(f):
            if await f.readline() == "bad":
                raise RuntimeError("a bad line")
            await f.writeline("fine")

        async def main():
            failures = []
            asyncio.get_running_loop().set_exception_handler(lambda _, c: failures.append(c["exception"]))
            server = asyncio.ensure_future(serve(handler, backlog=2))
            name = self.name()
            async with await flow_alloc(name) as f:
                await f.writeline("bad")
                with self.assertRaises(FlowDownException):
                    await f.readline()
            async with await flow_alloc(name) as f:
                await f.writeline("good")
                self.assertEqual(await f.readline(), "fine")
            self.assertEqual([str(e) for e in failures], ["a bad line"])
            server.cancel()
            await asyncio.gather(server, return_exceptions=True)

        self.run_async(main())


class Calls(AioTest):
    def test_errors(self):
        async def main():
            with self.assertRaises(FlowException) as c:
                await flow_alloc(unique("nobody"))
            self.assertEqual(c.exception.errno, _errors.ENAME)
            with self.assertRaises(TimeoutError):
                await flow_accept(0.01)
            with self.assertRaises(FlowException):
                await flow_join(unique("nowhere"))
            f = Flow()
            for call in (f.read(), f.readline(), f.write(b"x"), f.writeline("x")):
                with self.assertRaises(FlowNotAllocatedException):
                    await call
            with self.assertRaises(FlowDeallocWarning):
                await f.dealloc()
            f, g = await self.both()
            with self.assertRaises(FlowAllocatedException):
                await f.alloc("x")
            with self.assertRaises(ValueError):
                await f.read(-1)
            with self.assertRaises(ValueError):
                await f.write(b"x", -1)
            f.set_rcv_timeout(0.01)
            with self.assertRaises(TimeoutError):
                await f.read()
            f.set_rcv_timeout(None)
            await g.dealloc()
            with self.assertRaises(FlowDownException):
                await f.read()
            await f.dealloc()
            self.assertEqual(repr(f), "<aio.Flow, not allocated>")

        self.run_async(main())

    def test_a_reader_that_waits_sees_the_end(self):
        async def main():
            for deallocated, kind in (("mine", FlowNotAllocatedException), ("theirs", FlowDownException)):
                f, g = await self.both()
                reader = asyncio.ensure_future(f.read())
                await asyncio.sleep(0)
                await (f if deallocated == "mine" else g).dealloc()
                with self.assertRaises(kind):
                    await reader
                for end in (f, g):
                    await end.__aexit__(None, None, None)

        self.run_async(main())

    def test_cancelled_accepts_lose_no_flow(self):
        async def main():
            name = self.name()
            for _ in range(20):
                with self.assertRaises(asyncio.TimeoutError):
                    await asyncio.wait_for(flow_accept(), 0.001)
            f, g = await self.both()
            await f.dealloc()
            await g.dealloc()
            # An accept that is cancelled while a flow comes: it goes to the
            # next one.
            for _ in range(20):
                accept = asyncio.ensure_future(flow_accept())
                alloc = asyncio.ensure_future(flow_alloc(name, timeo=PATIENCE))
                await asyncio.sleep(0.0005)
                accept.cancel()
                first = await asyncio.gather(accept, return_exceptions=True)
                g = first[0] if isinstance(first[0], Flow) else await flow_accept(PATIENCE)
                f = await alloc
                await f.writeline("x")
                self.assertEqual(await g.readline(), "x")
                await f.dealloc()
                await g.dealloc()

        self.run_async(main())

    def test_a_cancelled_allocation(self):
        async def main():
            name = self.name()
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(flow_alloc(name), 0.02)  # nobody accepts
            with self.assertRaises(TimeoutError):
                await flow_alloc(name, timeo=0.02)

        self.run_async(main())

    def test_writers_wait_for_room(self):
        async def main():
            f, g = await self.both()
            sent = 2000

            async def write():
                for i in range(sent):
                    self.assertEqual(await f.write(b"%6d" % i + bytes(4000)), 4006)

            async def read():
                for i in range(sent):
                    self.assertEqual((await g.read(5000))[:6], b"%6d" % i)

            writer = asyncio.ensure_future(write())
            while f.get_tx_queue_len() < 50:
                await asyncio.sleep(0)
            await asyncio.gather(writer, read())
            # Many writers at once keep the order in which they came.
            writers = [asyncio.ensure_future(f.write(b"%6d" % i + bytes(10000))) for i in range(200)]
            await asyncio.sleep(0)
            self.assertEqual([int((await g.read(20000))[:6]) for _ in range(200)], list(range(200)))
            await asyncio.gather(*writers)
            # One that waits no longer.
            f.set_snd_timeout(0.02)
            with self.assertRaises(TimeoutError):
                while True:
                    await f.write(bytes(100000))
            await f.dealloc()
            await g.dealloc()

        self.run_async(main())

    def test_a_busy_flow_lets_others_run(self):
        async def main():
            f, g = await self.both()
            turns = 0

            async def other():
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            o = asyncio.ensure_future(other())
            for _ in range(200):
                for _ in range(10):
                    await f.write(b"x")
                for _ in range(10):
                    await g.read()
            self.assertGreater(turns, 20)
            o.cancel()
            await f.dealloc()
            await g.dealloc()

        self.run_async(main())

    def test_a_broadcast_layer(self):
        from ouroboros import cli, irm
        layer, ipcp = unique("bc"), unique("ipcp")
        cli.autoboot(ipcp, irm.IpcpType.BROADCAST, layer)
        self.addCleanup(cli.destroy_ipcp, ipcp)

        async def main():
            members = [await flow_join(layer) for _ in range(4)]
            await members[0].writeline("to all")
            self.assertEqual(await asyncio.gather(*(m.readline() for m in members[1:])), ["to all"] * 3)
            for m in members:
                await m.dealloc()

        self.run_async(main())


class Loops(AioTest):
    def test_many_loops_one_after_the_other(self):
        # A loop gives its flow set back: there are only 31.
        for _ in range(40):
            async def main():
                f, g = await self.both()
                await f.dealloc()
                await g.dealloc()
            self.run_async(main())

    def test_loops_that_end_with_open_flows(self):
        from ouroboros._lib import lib
        for _ in range(40):
            kept = []

            async def main():
                kept.extend(await self.both())

            asyncio.run(main())
            for f in kept:
                self.assertEqual(lib.flow_dealloc(f._Flow__fd), 0)
                f._Flow__fd = -1

    def test_loops_in_threads(self):
        async def main():
            f, g = await self.both()
            for i in range(200):
                await f.writeline(str(i))
                self.assertEqual(await g.readline(), str(i))
            await f.dealloc()
            await g.dealloc()

        # Each accepts in its own loop, so the ends may be swapped: it is
        # enough that all of them talk.
        lock = threading.Lock()

        def one():
            with lock:
                asyncio.run(main())

        for t in [self.in_thread(one) for _ in range(4)]:
            t.result()

    def test_a_thousand_flows_in_one_loop(self):
        flows_wanted = 1000

        async def main():
            threads = threading.active_count()
            descriptors = len(os.listdir("/proc/self/fd"))

            async def echo(f):
                async for msg in f:
                    await f.write(msg)

            server = asyncio.ensure_future(serve(echo, backlog=64))
            name = self.name()
            limit = asyncio.Semaphore(16)

            async def alloc():
                while True:
                    async with limit:
                        try:
                            return await flow_alloc(name, timeo=PATIENCE)
                        except FlowException as e:
                            # On a busy machine the loop may come to accept
                            # later than a node waits for it.
                            self.assertEqual(e.errno, _errors.EIPCP)

            clients = await asyncio.gather(*(alloc() for _ in range(flows_wanted)))

            async def talk(i, f):
                for k in range(3):
                    await f.writeline(f"{i} {k}")
                    self.assertEqual(await f.readline(), f"{i} {k}")

            await asyncio.gather(*(talk(i, f) for i, f in enumerate(clients)))
            self.assertEqual(threading.active_count(), threads)
            self.assertLess(len(os.listdir("/proc/self/fd")), descriptors + 100, "no descriptor for each flow")
            for f in clients:
                await f.dealloc()
            server.cancel()
            await asyncio.gather(server, return_exceptions=True)

        self.run_async(main())


if __name__ == "__main__":
    unittest.main()
