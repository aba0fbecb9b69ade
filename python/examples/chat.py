#!/usr/bin/env python3
"""A chat: what one types, all in the broadcast layer see.

    irm ipcp bootstrap name chat type broadcast layer chat    # once
    chat.py --layer chat --name NAME
"""

import argparse
import asyncio
import sys

from ouroboros.aio import *


async def show(f: Flow) -> None:
    """Prints what the others say."""
    async for message in f:
        print(message.decode(errors="replace"), flush=True)


async def say(f: Flow, name: str) -> None:
    """Sends each line of the standard input, to its end."""
    loop = asyncio.get_running_loop()
    while True:
        line = await loop.run_in_executor(None, sys.stdin.readline)
        if not line:
            return
        if line.strip():
            await f.writeline(f"{name}: {line.rstrip()}")


async def chat(layer: str, name: str) -> None:
    async with await flow_join(layer) as f:
        print(f"You are in {layer}; end with Ctrl-D.", flush=True)
        await f.writeline(f"{name} is here")
        showing = asyncio.ensure_future(show(f))
        await say(f, name)
        await f.writeline(f"{name} has left")
        showing.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A chat over a broadcast layer")
    parser.add_argument("--layer", default="chat", help="the layer (chat)")
    parser.add_argument("--name", required=True, help="who you are")
    args = parser.parse_args()
    try:
        asyncio.run(chat(args.layer, args.name))
    except FlowException as e:
        sys.exit(f"chat: {e}")
    except KeyboardInterrupt:
        pass
