"""Management as the ``irm`` command does it: IPCPs go by name.

============================  ==========================================
function                      command
============================  ==========================================
create_ipcp, destroy_ipcp     irm ipcp create, irm ipcp destroy
bootstrap_ipcp, enroll_ipcp   irm ipcp bootstrap, irm ipcp enroll
connect_ipcp, disconnect_ipcp irm ipcp connect, irm ipcp disconnect
list_ipcps                    irm ipcp list
bind_program, unbind_program  irm bind program, irm unbind program
bind_process, unbind_process  irm bind process, irm unbind process
bind_ipcp, unbind_ipcp        irm bind ipcp, irm unbind ipcp
create_name, destroy_name     irm name create, irm name destroy
reg_name, unreg_name          irm name register, irm name unregister
list_names                    irm name list
autoboot                      irm ipcp bootstrap ... autobind
============================  ==========================================

Exceptions are those of `ouroboros.irm`, and ValueError for an IPCP that does
not exist.
"""

import shutil
from typing import Iterable, List, Optional, Sequence, Set

from ouroboros import irm as _irm
from ouroboros.irm import (BindError, DT_COMP, DtConfig, EthConfig, IpcpConfig,
                           IpcpInfo, IpcpType, IrmError, LinkStateConfig,
                           LinkStatePolicy, MGMT_COMP, NameInfo, RoutingConfig,
                           Udp4Config, Udp6Config, UnicastConfig, bind_process,
                           create_ipcp, destroy_name, unbind_process,
                           unbind_program)
from ouroboros.qos import QoSSpec

__all__ = [
    "BindError", "DT_COMP", "DtConfig", "EthConfig", "IpcpConfig", "IpcpInfo",
    "IpcpType", "IrmError", "LinkStateConfig", "LinkStatePolicy", "MGMT_COMP",
    "NameInfo", "QoSSpec", "RoutingConfig", "Udp4Config", "Udp6Config",
    "UnicastConfig", "autoboot", "bind_ipcp", "bind_process", "bind_program",
    "bootstrap_ipcp", "connect_ipcp", "create_ipcp", "create_name",
    "destroy_ipcp", "destroy_name", "disconnect_ipcp", "enroll_ipcp",
    "list_ipcps", "list_names", "reg_name", "unbind_ipcp", "unbind_process",
    "unbind_program", "unreg_name",
]


def _info_of(name: str) -> IpcpInfo:
    for info in _irm.list_ipcps():
        if info.name == name:
            return info
    raise ValueError(f"No IPCP named {name!r}")


def _pid_of(name: str) -> int:
    return _info_of(name).pid


def destroy_ipcp(name: str) -> None:
    """Ends an IPCP.

    :raises ValueError: there is no such IPCP
    """
    _irm.destroy_ipcp(_pid_of(name))


def list_ipcps(name: Optional[str] = None,
               layer: Optional[str] = None,
               ipcp_type: Optional[IpcpType] = None) -> List[IpcpInfo]:
    """The IPCPs that have the given name, layer and type; None = any."""
    return [i for i in _irm.list_ipcps()
            if (name is None or i.name == name)
            and (layer is None or i.layer == layer)
            and (ipcp_type is None or i.type == ipcp_type)]


def bootstrap_ipcp(name: str, conf: IpcpConfig, autobind: bool = False) -> None:
    """Makes an IPCP the first member of a new layer.

    :param autobind: bind it to its own name and to that of the layer first,
        so that others can enroll with it (UNICAST and BROADCAST)
    :raises ValueError: there is no such IPCP
    :raises IpcpBootstrapError: its bindings are undone then
    """
    pid = _pid_of(name)
    names = []
    if autobind and conf.ipcp_type in (IpcpType.UNICAST, IpcpType.BROADCAST):
        names = [name, conf.layer_name]
    bound: List[str] = []
    try:
        for n in names:
            _irm.bind_process(pid, n)
            bound.append(n)
        _irm.bootstrap_ipcp(pid, conf)
    except Exception:
        for n in bound:
            try:
                _irm.unbind_process(pid, n)
            except BindError:
                pass  # what went wrong first is what counts
        raise


def enroll_ipcp(name: str, dst: str, autobind: bool = False) -> None:
    """Joins the layer of the member that is reached under dst.

    :param autobind: bind the IPCP to its own name and to that of the layer
        afterwards, so that others can enroll with it
    :raises ValueError: there is no such IPCP
    """
    pid = _pid_of(name)
    _irm.enroll_ipcp(pid, dst)
    if autobind:
        _irm.bind_process(pid, name)
        _irm.bind_process(pid, _info_of(name).layer)


def _parts(comp: str) -> List[str]:
    parts = {"*": [MGMT_COMP, DT_COMP], "mgmt": [MGMT_COMP], "dt": [DT_COMP]}
    if comp not in parts:
        raise ValueError(f"No component {comp!r}; there are 'dt', 'mgmt', and '*' for both")
    return parts[comp]


def connect_ipcp(name: str, dst: str, comp: str = "*",
                 qos: Optional[QoSSpec] = None) -> None:
    """Connects components of an IPCP with a neighbour.

    :param comp: "dt", "mgmt", or "*" for both
    :param qos: of the flow of "dt"; None = raw
    :raises ValueError: there is no such IPCP or component
    """
    parts = _parts(comp)
    pid = _pid_of(name)
    for part in parts:
        _irm.connect_ipcp(pid, part, dst, qos if part == DT_COMP else None)


def disconnect_ipcp(name: str, dst: str, comp: str = "*") -> None:
    """Undoes connect_ipcp.

    :raises ValueError: there is no such IPCP or component
    """
    parts = _parts(comp)
    pid = _pid_of(name)
    for part in parts:
        _irm.disconnect_ipcp(pid, part, dst)


def bind_program(prog: str, name: str, opts: int = 0,
                 argv: Optional[Sequence[str]] = None) -> None:
    """Lets a program accept the flows to a name.

    :param prog: path, or a name that is looked up on PATH
    :raises BindError: there is no such program, or it is bound already
    """
    if "/" not in prog:
        found = shutil.which(prog)
        if found is None:
            raise BindError(f"Program {prog!r} not found on PATH")
        prog = found
    _irm.bind_program(prog, name, opts, argv)


def bind_ipcp(ipcp: str, name: str) -> None:
    """Lets an IPCP accept the flows to a name.

    :raises ValueError: there is no such IPCP
    """
    _irm.bind_process(_pid_of(ipcp), name)


def unbind_ipcp(ipcp: str, name: str) -> None:
    """Undoes bind_ipcp.

    :raises ValueError: there is no such IPCP
    """
    _irm.unbind_process(_pid_of(ipcp), name)


def create_name(name: str, pol_lb: Optional[int] = None,
                info: Optional[NameInfo] = None) -> None:
    """Makes a name known to the node.

    :param pol_lb: a LoadBalancePolicy
    :param info: all about the name, instead of the other two
    """
    if info is None:
        info = NameInfo(name)
        if pol_lb is not None:
            info.pol_lb = pol_lb  # type: ignore[assignment]
    _irm.create_name(info)


def list_names(name: Optional[str] = None) -> List[NameInfo]:
    """All names, or the given one if it exists."""
    return [n for n in _irm.list_names() if name is None or n.name == name]


def _selected(ipcp: Optional[str], ipcps: Optional[Iterable[str]],
              layer: Optional[str], layers: Optional[Iterable[str]]) -> Set[int]:
    """Pids of the IPCPs that are named or are in one of the layers."""
    by_name = set(ipcps or ()) | ({ipcp} if ipcp is not None else set())
    by_layer = set(layers or ()) | ({layer} if layer is not None else set())
    if not by_name and not by_layer:
        return set()
    return {i.pid for i in _irm.list_ipcps()
            if i.name in by_name or i.layer in by_layer}


def reg_name(name: str,
             ipcp: Optional[str] = None,
             ipcps: Optional[Iterable[str]] = None,
             layer: Optional[str] = None,
             layers: Optional[Iterable[str]] = None) -> None:
    """Registers a name with IPCPs, and creates it before if there is none.

    All IPCPs that are named, and all in the given layers, are taken; those
    that do not exist are passed over.
    """
    if not list_names(name):
        _irm.create_name(NameInfo(name))
    for pid in _selected(ipcp, ipcps, layer, layers):
        _irm.reg_name(name, pid)


def unreg_name(name: str,
               ipcp: Optional[str] = None,
               ipcps: Optional[Iterable[str]] = None,
               layer: Optional[str] = None,
               layers: Optional[Iterable[str]] = None) -> None:
    """Undoes reg_name, for the IPCPs that it would take."""
    for pid in _selected(ipcp, ipcps, layer, layers):
        _irm.unreg_name(name, pid)


def autoboot(name: str, ipcp_type: IpcpType, layer: str,
             conf: Optional[IpcpConfig] = None) -> None:
    """Makes an IPCP, unless it exists, and bootstraps it with autobind.

    :param conf: of the layer, whose name is put in; None = the defaults
    """
    if not list_ipcps(name):
        create_ipcp(name, ipcp_type)
    if conf is None:
        conf = IpcpConfig(ipcp_type)
    conf.layer_name = layer
    bootstrap_ipcp(name, conf, autobind=True)
