#!/usr/bin/env python3
"""Echo with asyncio: any number of clients, one thread.

    irm name register oecho layer LAYER    # once
    oecho_aio.py -l                        # server
    oecho_aio.py -c 100                    # a hundred clients
"""

import argparse
import asyncio
import os

from ouroboros.aio import *
from ouroboros.irm import BindError, bind_process


async def client(number: int) -> None:
    async with await flow_alloc("oecho") as f:
        await f.writeline(f"Hello, PyOuroboros! This is client {number}.")
        print(await f.readline())


async def clients(count: int) -> None:
    await asyncio.gather(*(client(i) for i in range(count)))


async def answer(f: Flow) -> None:
    async for message in f:
        print("Message from client is", message.decode(errors="replace"), flush=True)
        await f.write(message)


async def server() -> None:
    try:
        bind_process(os.getpid(), "oecho")
    except BindError:
        pass  # the program is bound, perhaps; this process need not be
    print("Starting the server.", flush=True)
    await serve(answer)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A simple echo client/server")
    parser.add_argument("-l", "--listen", help="run as a server", action="store_true")
    parser.add_argument("-c", "--clients", help="number of clients", type=int, default=1)
    args = parser.parse_args()
    try:
        asyncio.run(server() if args.listen else clients(args.clients))
    except KeyboardInterrupt:
        pass
