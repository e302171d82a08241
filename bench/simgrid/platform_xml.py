"""Writes a described cluster as a SimGrid platform: both sides of the comparison then have the same links.

A Weft link is alpha + bytes * beta for each rank and direction: the latency of one exchange and the bandwidth of the
rank's own link, which carries both directions at once. So here every rank is a host with two full-duplex ports, one
inside the node and one between nodes. A route takes the sender's port up and the receiver's port down:

    latency    half of Weft's on each of the two ports: one transfer, alone, takes alpha + bytes / bandwidth
    bandwidth  Weft's, on each port: what one rank sends, or receives, shares it

`uplink` says whose the port between nodes is: "rank", as Weft describes it, or "node", one port for all ranks of a
node with their bandwidths added up (a node with one network card).
"""

import xml.etree.ElementTree as ElementTree

UPLINKS = ("rank", "node")
HEAD = '<?xml version="1.0"?>\n<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">\n'


def hosts(nodes, ranks_per_node):
    """By rank."""
    return [f"node{node}-rank{local}" for node in range(nodes) for local in range(ranks_per_node)]


def platform_xml(nodes, ranks_per_node, links, uplink):
    """`links`: {"intra" and "inter": {"latency": seconds, "bandwidth": bytes per second}}."""
    if uplink not in UPLINKS:
        raise ValueError(f"uplink '{uplink}': must be one of {', '.join(UPLINKS)}")
    platform = ElementTree.Element("platform", version="4.1")
    zone = ElementTree.SubElement(platform, "zone", id="cluster", routing="Full")
    names = hosts(nodes, ranks_per_node)
    for name in names:
        ElementTree.SubElement(zone, "host", id=name, speed="1Gf")

    def add_port(owner, kind, ranks):
        port = f"{owner}-{kind}"
        ElementTree.SubElement(zone, "link", id=port, bandwidth=f"{ranks * links[kind]['bandwidth']!r}Bps",
                               latency=f"{links[kind]['latency'] / 2!r}s", sharing_policy="SPLITDUPLEX")
        return port

    intra = [add_port(name, "intra", 1) for name in names]
    if uplink == "rank":
        inter = [add_port(name, "inter", 1) for name in names]
    else:
        of_node = [add_port(f"node{node}", "inter", ranks_per_node) for node in range(nodes)]
        inter = [of_node[rank // ranks_per_node] for rank in range(len(names))]
    for source in range(len(names)):
        for destination in range(len(names)):
            if source == destination:
                continue
            ports = intra if source // ranks_per_node == destination // ranks_per_node else inter
            route = ElementTree.SubElement(zone, "route", src=names[source], dst=names[destination], symmetrical="NO")
            ElementTree.SubElement(route, "link_ctn", id=ports[source], direction="UP")
            ElementTree.SubElement(route, "link_ctn", id=ports[destination], direction="DOWN")
    ElementTree.indent(platform, " ")
    return HEAD + ElementTree.tostring(platform, encoding="unicode") + "\n"
