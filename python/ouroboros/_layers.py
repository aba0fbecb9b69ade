"""What the management of a node talks about: policies, configurations of
layers, names and IPCPs."""

from enum import IntEnum
from typing import Optional


class IpcpType(IntEnum):
    """Kinds of IPCP."""

    LOCAL = 0
    UNICAST = 1
    BROADCAST = 2
    ETH_LLC = 3
    ETH_DIX = 4
    UDP4 = 5
    UDP6 = 6


class AddressAuthPolicy(IntEnum):
    """How members of a unicast layer get their addresses."""

    FLAT_RANDOM = 0


class LinkStatePolicy(IntEnum):
    """Shortest paths, with loop-free alternates, or over equal paths."""

    SIMPLE = 0
    LFA = 1
    ECMP = 2


class RoutingPolicy(IntEnum):
    """How a unicast layer finds its ways."""

    LINK_STATE = 0


class CongestionAvoidPolicy(IntEnum):
    """What senders of a unicast layer do about congestion."""

    NONE = 0
    MB_ECN = 1
    CA_NONE = 0
    CA_MB_ECN = 1


CA_NONE = CongestionAvoidPolicy.NONE
CA_MB_ECN = CongestionAvoidPolicy.MB_ECN


class DirectoryPolicy(IntEnum):
    """How a unicast layer finds names."""

    DHT = 0


class DirectoryHashAlgo(IntEnum):
    """Hash of names in a layer."""

    SHA3_224 = 0
    SHA3_256 = 1
    SHA3_384 = 2
    SHA3_512 = 3


class LoadBalancePolicy(IntEnum):
    """Which of the processes bound to a name gets the next flow."""

    ROUND_ROBIN = 0
    SPILL = 1


class _Record:
    """An attribute holder that shows itself and compares by attributes."""

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # its attributes change

    def __repr__(self) -> str:
        said = ", ".join(f"{k}={_show(v)}" for k, v in vars(self).items())
        return f"{type(self).__name__}({said})"


def _show(v: object) -> str:
    return v.name if isinstance(v, IntEnum) else repr(v)


class LinkStateConfig(_Record):
    """Link-state routing; times in seconds."""

    def __init__(self,
                 pol: LinkStatePolicy = LinkStatePolicy.SIMPLE,
                 t_recalc: int = 4,
                 t_update: int = 15,
                 t_timeo: int = 60) -> None:
        self.pol = pol
        self.t_recalc = t_recalc
        self.t_update = t_update
        self.t_timeo = t_timeo


class RoutingConfig(_Record):
    """Routing of a unicast layer."""

    def __init__(self,
                 pol: RoutingPolicy = RoutingPolicy.LINK_STATE,
                 ls: Optional[LinkStateConfig] = None) -> None:
        self.pol = pol
        self.ls = ls or LinkStateConfig()


class DtConfig(_Record):
    """Data transfer of a unicast layer; sizes in bytes."""

    def __init__(self,
                 addr_size: int = 4,
                 eid_size: int = 8,
                 max_ttl: int = 60,
                 routing: Optional[RoutingConfig] = None) -> None:
        self.addr_size = addr_size
        self.eid_size = eid_size
        self.max_ttl = max_ttl
        self.routing = routing or RoutingConfig()


class DhtConfig(_Record):
    """The directory of a unicast layer; times in seconds.

    :param alpha: how many members are asked at once, 1 to 10
    :param k: how many members keep a name, 1 to 20
    :param t_expire: 10 to 86400
    :param t_refresh: 3 to 3600
    :param t_replicate: 3 to 3600
    """

    def __init__(self,
                 alpha: int = 3,
                 k: int = 8,
                 t_expire: int = 86400,
                 t_refresh: int = 900,
                 t_replicate: int = 900) -> None:
        self.alpha = alpha
        self.k = k
        self.t_expire = t_expire
        self.t_refresh = t_refresh
        self.t_replicate = t_replicate


class DirConfig(_Record):
    """Directory policy of a unicast layer."""

    def __init__(self,
                 pol: DirectoryPolicy = DirectoryPolicy.DHT,
                 dht: Optional[DhtConfig] = None) -> None:
        self.pol = pol
        self.dht = dht or DhtConfig()


class UnicastConfig(_Record):
    """A unicast layer."""

    def __init__(self,
                 dt: Optional[DtConfig] = None,
                 dir: Optional[DirConfig] = None,  # noqa: A002
                 addr_auth: AddressAuthPolicy = AddressAuthPolicy.FLAT_RANDOM,
                 cong_avoid: CongestionAvoidPolicy =
                 CongestionAvoidPolicy.MB_ECN) -> None:
        self.dt = dt or DtConfig()
        self.dir = dir or DirConfig()
        self.addr_auth = addr_auth
        self.cong_avoid = cong_avoid


class EthConfig(_Record):
    """An Ethernet layer.

    :param dev: network interface
    :param ethertype: ETH_DIX only
    """

    def __init__(self, dev: str = "", ethertype: int = 0xA000) -> None:
        self.dev = dev
        self.ethertype = ethertype


class Udp4Config(_Record):
    """A layer over UDP and IPv4.

    :param ip_addr: own address
    :param dns_addr: server for dynamic DNS; 0.0.0.0 = none
    :param port: the same for all members
    """

    def __init__(self,
                 ip_addr: str = "0.0.0.0",
                 dns_addr: str = "0.0.0.0",
                 port: int = 3435) -> None:
        self.ip_addr = ip_addr
        self.dns_addr = dns_addr
        self.port = port


class Udp6Config(_Record):
    """A layer over UDP and IPv6; parameters as those of Udp4Config."""

    def __init__(self,
                 ip_addr: str = "::",
                 dns_addr: str = "::",
                 port: int = 3435) -> None:
        self.ip_addr = ip_addr
        self.dns_addr = dns_addr
        self.port = port


class IpcpConfig(_Record):
    """How an IPCP is bootstrapped.

    The part that belongs to the type is used, its defaults when it is None;
    LOCAL and BROADCAST have none.
    """

    def __init__(self,
                 ipcp_type: IpcpType,
                 layer_name: str = "",
                 dir_hash_algo: DirectoryHashAlgo = DirectoryHashAlgo.SHA3_256,
                 unicast: Optional[UnicastConfig] = None,
                 eth: Optional[EthConfig] = None,
                 udp4: Optional[Udp4Config] = None,
                 udp6: Optional[Udp6Config] = None) -> None:
        self.ipcp_type = ipcp_type
        self.layer_name = layer_name
        self.dir_hash_algo = dir_hash_algo
        self.unicast = unicast
        self.eth = eth
        self.udp4 = udp4
        self.udp6 = udp6


class NameSecPaths(_Record):
    """Files at the node: encryption settings, private key, certificate.
    Empty = where the daemon looks by itself."""

    def __init__(self, enc: str = "", key: str = "", crt: str = "") -> None:
        self.enc = enc
        self.key = key
        self.crt = crt


class NameInfo(_Record):
    """A name, and how its flows are shared out and secured."""

    def __init__(self,
                 name: str,
                 pol_lb: LoadBalancePolicy = LoadBalancePolicy.ROUND_ROBIN,
                 server_sec: Optional[NameSecPaths] = None,
                 client_sec: Optional[NameSecPaths] = None) -> None:
        self.name = name
        self.pol_lb = pol_lb
        self.server_sec = server_sec or NameSecPaths()
        self.client_sec = client_sec or NameSecPaths()


class IpcpInfo(_Record):
    """A running IPCP, with attributes pid, type, name and layer ("Not
    enrolled." while it is in none)."""

    def __init__(self, pid: int, ipcp_type: IpcpType, name: str,
                 layer: str) -> None:
        self.pid = pid
        self.type = ipcp_type
        self.name = name
        self.layer = layer
