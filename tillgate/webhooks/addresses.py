"""Which addresses webhooks may be sent to: pure."""

from __future__ import annotations

import ipaddress


def is_public(address: str) -> bool:
    """Whether an address is a public one, also when it is wrapped in an IPv6 address.

    >>> is_public("93.184.215.14"), is_public("::ffff:10.0.0.1"), is_public("64:ff9b::7f00:1")
    (True, False, False)
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if (inner := _wrapped(ip)) is not None:
            return is_public(str(inner))
        if ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast


def _wrapped(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address reached through a compatible, mapped, 6to4, Teredo or NAT64 one."""
    if ip.teredo is not None:
        return ip.teredo[1]
    if int(ip) >> 32 in {0, 0x0064FF9B << 64}:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour


def literal_address(host: str) -> str | None:
    """Return the address if the host is one rather than a name."""
    try:
        return str(ipaddress.ip_address(host.strip("[]").partition("%")[0]))
    except ValueError:
        return None
