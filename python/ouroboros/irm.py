"""Management of a node: IPCPs, names and bindings.

::

    pid = create_ipcp("l1", IpcpType.LOCAL)
    bootstrap_ipcp(pid, IpcpConfig(IpcpType.LOCAL, layer_name="home"))
    create_name(NameInfo("oping"))
    reg_name("oping", pid)

IPCPs go by *pid*, a number that stands for one until it is destroyed; the
functions of `ouroboros.cli` take names instead. Every exception carries the
error number of the library in its attribute ``errno``. Without a daemon that
is 1002 (EIRMD).
"""

import builtins as _builtins
import ctypes as _ctypes
import ipaddress as _ipaddress
import os.path as _path
from typing import List, Optional, Sequence, Type

from ouroboros import _abi, _errors
from ouroboros._layers import (AddressAuthPolicy, CA_MB_ECN, CA_NONE,
                               CongestionAvoidPolicy, DhtConfig, DirConfig,
                               DirectoryHashAlgo, DirectoryPolicy, DtConfig,
                               EthConfig, IpcpConfig, IpcpInfo, IpcpType,
                               LinkStateConfig, LinkStatePolicy,
                               LoadBalancePolicy, NameInfo, NameSecPaths,
                               RoutingConfig, RoutingPolicy, Udp4Config,
                               Udp6Config, UnicastConfig)
from ouroboros._lib import lib as _lib
from ouroboros._lib import qos_to_c as _qos_to_c
from ouroboros.qos import QoSSpec

__all__ = [
    "AddressAuthPolicy", "BIND_AUTO", "BindError", "CA_MB_ECN", "CA_NONE",
    "CongestionAvoidPolicy", "DT_COMP", "DhtConfig", "DirConfig",
    "DirectoryHashAlgo", "DirectoryPolicy", "DtConfig", "EthConfig",
    "IpcpBootstrapError", "IpcpConfig", "IpcpConnectError", "IpcpCreateError",
    "IpcpEnrollError", "IpcpInfo", "IpcpType", "IrmError", "LinkStateConfig",
    "LinkStatePolicy", "LoadBalancePolicy", "MGMT_COMP", "NameError",
    "NameInfo", "NameSecPaths", "QoSSpec", "RoutingConfig", "RoutingPolicy",
    "Udp4Config", "Udp6Config", "UnicastConfig",
    "bind_process", "bind_program", "bootstrap_ipcp", "connect_ipcp",
    "create_ipcp", "create_name", "destroy_ipcp", "destroy_name",
    "disconnect_ipcp", "enroll_ipcp", "list_ipcps", "list_names", "reg_name",
    "unbind_process", "unbind_program", "unreg_name",
]

BIND_AUTO = 0x01
"""Start the program when somebody allocates a flow to the name."""

DT_COMP = "Data Transfer"
MGMT_COMP = "Management"


class IrmError(Exception):
    """Management failed; the reason is in the text and in ``errno``."""

    errno: Optional[int] = None


class IpcpCreateError(IrmError):
    """An IPCP could not be created."""


class IpcpBootstrapError(IrmError):
    """An IPCP could not be bootstrapped."""


class IpcpEnrollError(IrmError):
    """An IPCP could not be enrolled."""


class IpcpConnectError(IrmError):
    """A component could not be connected or disconnected."""


class NameError(IrmError, _builtins.NameError):  # noqa: A001
    """A name could not be created, destroyed or registered.

    It is a kind of the builtin as well, so that who imports everything from
    here and catches NameError may mean either.
    """


class BindError(IrmError):
    """A program or process could not be bound or unbound."""


def _check(result: int, kind: Type[IrmError], what: str) -> int:
    if result < 0:
        raise _errors.make(kind, -result, what)
    return result


def _cut(s: str, most: int) -> bytes:
    """s in UTF-8, up to so many bytes."""
    b = s.encode()
    if len(b) <= most:
        return b
    return b[:most].decode(errors="ignore").encode()


def _text(b: bytes) -> str:
    return b.decode(errors="replace")


def _type_of(t: int) -> IpcpType:
    try:
        return IpcpType(t)
    except ValueError:
        return t  # type: ignore[return-value]  # one that is newer than this


def _in4(text: str, what: str) -> _abi.In4Addr:
    try:
        packed = _ipaddress.IPv4Address(text).packed
    except ValueError:
        raise ValueError(f"Invalid IPv4 {what}: {text}") from None
    return _abi.In4Addr.from_buffer_copy(packed)


def _in6(text: str, what: str) -> _abi.In6Addr:
    try:
        packed = _ipaddress.IPv6Address(text).packed
    except ValueError:
        raise ValueError(f"Invalid IPv6 {what}: {text}") from None
    return _abi.In6Addr.from_buffer_copy(packed)


def _config_to_c(conf: IpcpConfig) -> _abi.IpcpConfig:
    c = _abi.IpcpConfig()
    c.layer_info.name = _cut(conf.layer_name, _abi.NAME_SIZE)
    c.layer_info.dir_hash_algo = conf.dir_hash_algo
    c.type = conf.ipcp_type

    if conf.ipcp_type == IpcpType.UNICAST:
        _unicast_to_c(conf.unicast or UnicastConfig(), c.unicast)
    elif conf.ipcp_type in (IpcpType.ETH_LLC, IpcpType.ETH_DIX):
        eth = conf.eth or EthConfig()
        c.eth.dev = _cut(eth.dev, _abi.NAME_SIZE)
        c.eth.ethertype = eth.ethertype
    elif conf.ipcp_type == IpcpType.UDP4:
        udp4 = conf.udp4 or Udp4Config()
        c.udp4.port = udp4.port
        c.udp4.ip_addr = _in4(udp4.ip_addr, "address")
        c.udp4.dns_addr = _in4(udp4.dns_addr, "DNS address")
    elif conf.ipcp_type == IpcpType.UDP6:
        udp6 = conf.udp6 or Udp6Config()
        c.udp6.port = udp6.port
        c.udp6.ip_addr = _in6(udp6.ip_addr, "address")
        c.udp6.dns_addr = _in6(udp6.dns_addr, "DNS address")
    return c


def _unicast_to_c(uni: UnicastConfig, c: _abi.UnicastConfig) -> None:
    c.dt.addr_size = uni.dt.addr_size
    c.dt.eid_size = uni.dt.eid_size
    c.dt.max_ttl = uni.dt.max_ttl
    c.dt.routing.pol = uni.dt.routing.pol
    for field, value in vars(uni.dt.routing.ls).items():
        setattr(c.dt.routing.ls, field, value)
    c.dir.pol = uni.dir.pol
    for field, value in vars(uni.dir.dht).items():
        setattr(c.dir.dht, field, value)
    c.addr_auth_type = uni.addr_auth
    c.cong_avoid = uni.cong_avoid


def create_ipcp(name: str, ipcp_type: IpcpType) -> int:
    """Makes an IPCP that is in no layer yet.

    :return: its pid
    :raises IpcpCreateError: the name is taken, or there is no such type
    """
    kind = getattr(_type_of(ipcp_type), "name", ipcp_type)
    what = f"cannot create IPCP '{name}' of type {kind}"
    _check(_lib.irm_create_ipcp(name.encode(), ipcp_type), IpcpCreateError, what)
    for info in list_ipcps():
        if info.name == name:
            return info.pid
    raise _errors.make(IpcpCreateError, _errors.EIPCP, what)


def destroy_ipcp(pid: int) -> None:
    """Ends an IPCP; flows over it go down.

    :raises IrmError: pid is not an IPCP's
    """
    _check(_lib.irm_destroy_ipcp(pid), IrmError, f"cannot destroy IPCP {pid}")


def list_ipcps() -> List[IpcpInfo]:
    """All IPCPs of the node.

    :raises IrmError: no daemon answers
    """
    found = _ctypes.POINTER(_abi.IpcpListInfo)()
    n = _check(_lib.irm_list_ipcps(_ctypes.byref(found)), IrmError,
               "cannot list the IPCPs")
    try:
        return [IpcpInfo(c.pid, _type_of(c.type), _text(c.name), _text(c.layer))
                for c in found[:n]]
    finally:
        _lib.free(found)


def enroll_ipcp(pid: int, dst: str) -> None:
    """Joins the layer of the member that is reached under dst.

    :raises IpcpEnrollError: nobody is, or it refused
    """
    _check(_lib.irm_enroll_ipcp(pid, dst.encode()), IpcpEnrollError,
           f"cannot enroll IPCP {pid} with '{dst}'")


def bootstrap_ipcp(pid: int, conf: IpcpConfig) -> None:
    """Makes the IPCP the first member of a new layer.

    :raises IpcpBootstrapError: it is in one already, or the configuration
        cannot be
    :raises ValueError: an IP address that is none
    """
    c = _config_to_c(conf)
    _check(_lib.irm_bootstrap_ipcp(pid, _ctypes.byref(c)), IpcpBootstrapError,
           f"cannot bootstrap IPCP {pid}")


def connect_ipcp(pid: int, component: str, dst: str,
                 qos: Optional[QoSSpec] = None) -> None:
    """Connects a component of an IPCP with a neighbour.

    :param component: DT_COMP or MGMT_COMP
    :param dst: name of the neighbour
    :param qos: of the flow below; None = raw
    :raises IpcpConnectError: it cannot be reached, or refused
    """
    spec = _qos_to_c(qos or QoSSpec())
    _check(_lib.irm_connect_ipcp(pid, dst.encode(), component.encode(), spec),
           IpcpConnectError,
           f"cannot connect component '{component}' of IPCP {pid} to '{dst}'")


def disconnect_ipcp(pid: int, component: str, dst: str) -> None:
    """Ends a connection that connect_ipcp made.

    :raises IpcpConnectError: there is none
    """
    _check(_lib.irm_disconnect_ipcp(pid, dst.encode(), component.encode()),
           IpcpConnectError,
           f"cannot disconnect component '{component}' of IPCP {pid} from '{dst}'")


def bind_program(prog: str, name: str, opts: int = 0,
                 argv: Optional[Sequence[str]] = None) -> None:
    """Lets a program accept the flows to a name.

    :param prog: path of an executable file; one without a slash is looked up
        on PATH
    :param opts: BIND_AUTO, or 0
    :param argv: what it is started with, without its own name
    :raises BindError: there is no such program, or it is bound already
    """
    args = [a.encode() for a in argv or ()]
    array = (_ctypes.c_char_p * (len(args) + 1))(*args, None)
    _check(_lib.irm_bind_program(prog.encode(), name.encode(), opts, len(args), array),
           BindError, f"cannot bind program '{prog}' to name '{name}'")


def unbind_program(prog: str, name: str) -> None:
    """Undoes bind_program.

    :param prog: the program, with or without its directory
    :raises BindError: it is not bound to the name
    """
    _check(_lib.irm_unbind_program(_path.basename(prog).encode(), name.encode()),
           BindError, f"cannot unbind program '{prog}' from name '{name}'")


def bind_process(pid: int, name: str) -> None:
    """Lets a running process, or an IPCP, accept the flows to a name.

    :raises BindError: there is no such process, or it is bound already
    """
    _check(_lib.irm_bind_process(pid, name.encode()), BindError,
           f"cannot bind process {pid} to name '{name}'")


def unbind_process(pid: int, name: str) -> None:
    """Undoes bind_process.

    :raises BindError: it is not bound to the name
    """
    _check(_lib.irm_unbind_process(pid, name.encode()), BindError,
           f"cannot unbind process {pid} from name '{name}'")


def create_name(info: NameInfo) -> None:
    """Makes a name known to the node. One that exists stays as it is.

    :raises NameError: it cannot be a name
    """
    c = _abi.NameInfo()
    c.name = _cut(info.name, _abi.NAME_SIZE)
    c.pol_lb = info.pol_lb
    for paths, sec in ((c.s, info.server_sec), (c.c, info.client_sec)):
        for field in ("enc", "key", "crt"):
            setattr(paths, field, _cut(getattr(sec, field), _abi.PATH_SIZE))
    _check(_lib.irm_create_name(_ctypes.byref(c)), NameError,
           f"cannot create name '{info.name}'")


def destroy_name(name: str) -> None:
    """Forgets a name, with its registrations and bindings.

    :raises NameError: there is no such name
    """
    _check(_lib.irm_destroy_name(name.encode()), NameError,
           f"cannot destroy name '{name}'")


def list_names() -> List[NameInfo]:
    """All names of the node.

    :raises IrmError: no daemon answers
    """
    found = _ctypes.POINTER(_abi.NameInfo)()
    n = _check(_lib.irm_list_names(_ctypes.byref(found)), IrmError,
               "cannot list the names")
    try:
        return [NameInfo(_text(c.name), LoadBalancePolicy(c.pol_lb),
                         _paths(c.s), _paths(c.c)) for c in found[:n]]
    finally:
        _lib.free(found)


def _paths(c: _abi.NameSecPaths) -> NameSecPaths:
    return NameSecPaths(_text(c.enc), _text(c.key), _text(c.crt))


def reg_name(name: str, pid: int) -> None:
    """Makes a name reachable in the layer of an IPCP.

    :raises NameError: there is no such name, or pid is not an IPCP's
    """
    _check(_lib.irm_reg_name(name.encode(), pid), NameError,
           f"cannot register name '{name}' with IPCP {pid}")


def unreg_name(name: str, pid: int) -> None:
    """Undoes reg_name.

    :raises NameError: there is no such name, or pid is not an IPCP's
    """
    _check(_lib.irm_unreg_name(name.encode(), pid), NameError,
           f"cannot unregister name '{name}' from IPCP {pid}")
