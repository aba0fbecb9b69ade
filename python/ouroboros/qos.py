"""Quality of service of a flow."""

from typing import Tuple

MILLION = 1000 * 1000
BILLION = 1000 * 1000 * 1000

DEFAULT_PEER_TIMEOUT = 120000
"""Milliseconds after which a silent peer is given up."""

UINT32_MAX = 0xFFFFFFFF


class QoSSpec:
    """What a flow is asked for, and what was agreed on.

    The default is *raw*: messages may be lost, damaged or reordered.

    :param delay: longest delay, in ms
    :param bandwidth: in bit/s
    :param availability: number of nines
    :param loss: 0 = nothing is lost (retransmission; implies in_order),
        1 = messages may be lost
    :param ber: bit errors per billion bits; 0 = checksums
    :param in_order: 1 = in order, with flow control
    :param max_gap: longest interruption, in ms
    :param timeout: the peer is given up after so many ms of silence;
        0 = never
    """

    def __init__(self,
                 delay: int = UINT32_MAX,
                 bandwidth: int = 0,
                 availability: int = 0,
                 loss: int = 1,
                 ber: int = 1,
                 in_order: int = 0,
                 max_gap: int = UINT32_MAX,
                 timeout: int = DEFAULT_PEER_TIMEOUT) -> None:
        self.delay = delay
        self.bandwidth = bandwidth
        self.availability = availability
        self.loss = loss
        self.ber = ber
        self.in_order = in_order
        self.max_gap = max_gap
        self.timeout = timeout

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, QoSSpec):
            return NotImplemented
        return _values(self) == _values(other)

    __hash__ = None  # type: ignore[assignment]  # its attributes change

    def __repr__(self) -> str:
        said = ", ".join(f"{k}={v}" for k, v, usual
                         in zip(_FIELDS, _values(self), _USUAL) if v != usual)
        return f"QoSSpec({said})"


_FIELDS = ("delay", "bandwidth", "availability", "loss", "ber", "in_order",
           "max_gap", "timeout")


def _values(spec: QoSSpec) -> Tuple[int, ...]:
    return tuple(getattr(spec, f) for f in _FIELDS)


_USUAL = _values(QoSSpec())
