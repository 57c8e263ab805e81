"""Which machines an address that a stranger gave may lead to."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from pipeline.settings import Settings

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are the IPv4 address that is meant."""

_INTERNAL = tuple(map(ip_network, ("192.0.0.0/24", "168.63.129.16/32", "fec0::/10", "3fff::/20")))
"""What `is_global` does not refuse in every Python: protocol assignments (RFC 6890), the inside of Azure machines,
site-local addresses (RFC 3879), documentation (RFC 9637)."""


@dataclass(frozen=True)
class Guard:
    """Lets through the public internet, and `networks`."""

    networks: Sequence[Network] = ()

    def allows(self, address: str) -> bool:
        """`address` as the system's resolver writes it, a scope included."""
        parsed = ip_address(address)
        return public(parsed) or any(parsed in network for network in self.networks)


def guard(settings: Settings) -> Guard:
    """As the settings say. Raises SystemExit if the networks cannot be read."""
    try:
        return Guard(tuple(map(ip_network, settings.fetch_networks.split())))
    except ValueError as error:
        raise SystemExit(f"SPOOL_FETCH_NETWORKS: {error}") from None


def public(address: Address) -> bool:
    """False for all that the IANA special-purpose registries (RFC 6890) do not call globally reachable, and for multicast."""
    inner = _embedded(address)
    if inner is not None:
        return public(inner)
    special = address.is_multicast or address.is_reserved or any(address in network for network in _INTERNAL)
    return address.is_global and not special


def _embedded(address: Address) -> IPv4Address | None:
    """The IPv4 address that packets to this one end up at: mapped (RFC 4291), 6to4 (RFC 3056), NAT64 (RFC 6052)."""
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour
