"""Ouroboros for Python: flows between named programs, without addresses.

=================  ========================================================
`ouroboros.dev`    flows: allocate, accept, join, read, write
`ouroboros.qos`    the quality of service that a flow is asked for
`ouroboros.event`  many flows at once: flow sets and event queues
`ouroboros.aio`    the same for asyncio
`ouroboros.irm`    management: IPCPs, names and bindings, by pid
`ouroboros.cli`    management as the ``irm`` command does it, by name
=================  ========================================================

Importing any of them needs no daemon; the first call that does says so.
"""

from ouroboros._version import __version__

__all__ = ["__version__"]
