#!/usr/bin/env python3
"""Writes Jane Austen's six novels as plain text from the data file of Debian's r-cran-janeaustenr, without R.

usage: quickstart_text.py DIRECTORY-OF-Rdata.rdb OUTPUT-DIRECTORY

Rdata.rdx is a gzip'ed R object, list(variables = list(emma = c(offset, length), ...), ...); at that place of Rdata.rdb
stand the length of the unpacked object (4 bytes, big-endian) and the object, zlib-compressed. A novel is a character
vector with one element a line. Objects are in R's XDR serialisation, version 2 or 3 (R Internals, section 1.8).
"""

import gzip
import os
import struct
import sys
import zlib

# Types of R's serialisation that these two files use.
NIL_VALUE, REFERENCE = 254, 255
SYMBOL, PAIR_LIST, STRING, LOGICAL, INTEGER, STRINGS, LIST = 1, 2, 9, 10, 13, 16, 19
HAS_ATTRIBUTES, HAS_TAG = 1 << 9, 1 << 10


class Reader:
    """One R object, front to back."""

    def __init__(self, data):
        self.data, self.at, self.references = data, 0, []
        if self.take(2) != b"X\n":
            raise ValueError("not an R object in XDR format")
        version = self.integer()
        self.take(8)  # the versions of R that wrote it and that can read it
        if version == 3:
            self.take(self.integer())  # the native encoding's name
        elif version != 2:
            raise ValueError(f"unknown version {version} of R's serialisation")

    def take(self, count):
        if count < 0 or self.at + count > len(self.data):
            raise ValueError("the R object ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def integer(self):
        return struct.unpack(">i", self.take(4))[0]

    def value(self):
        """The next value; a list with names becomes a dict."""
        flags = self.integer()
        kind = flags & 0xFF
        if kind == NIL_VALUE:
            return None
        if kind == REFERENCE:
            return self.references[(flags >> 8) - 1]
        if kind == SYMBOL:
            self.references.append(self.value())
            return self.references[-1]
        if kind == STRING:
            length = self.integer()
            return None if length == -1 else self.take(length)
        if kind == PAIR_LIST:
            return self.pair_list(flags)
        count = self.integer()
        if kind in (LOGICAL, INTEGER):
            value = list(struct.unpack(f">{count}i", self.take(4 * count)))
        elif kind in (STRINGS, LIST):
            value = [self.value() for _ in range(count)]
        else:
            raise ValueError(f"unexpected R type {kind}")
        attributes = self.value() if flags & HAS_ATTRIBUTES else None
        if kind == LIST and attributes and b"names" in attributes:
            return dict(zip(attributes[b"names"], value))
        return value

    def pair_list(self, flags):
        pairs = {}
        while flags & 0xFF == PAIR_LIST:
            if flags & HAS_ATTRIBUTES:
                self.value()
            tag = self.value() if flags & HAS_TAG else None
            pairs[tag] = self.value()
            flags = self.integer()
        return pairs  # the last flags were those of the terminating NULL


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.split("\n\n")[1])
    source, output = sys.argv[1:]
    with gzip.open(os.path.join(source, "Rdata.rdx")) as file:
        variables = Reader(file.read()).value()[b"variables"]
    with open(os.path.join(source, "Rdata.rdb"), "rb") as file:
        database = file.read()
    for name, (offset, length) in sorted(variables.items()):
        unpacked = zlib.decompress(database[offset + 4 : offset + length])
        if len(unpacked) != struct.unpack(">I", database[offset : offset + 4])[0]:
            raise ValueError(f"{name.decode()} has the wrong length")
        lines = Reader(unpacked).value()
        with open(os.path.join(output, f"austen_{name.decode()}.txt"), "wb") as file:
            file.write(b"".join((line or b"") + b"\n" for line in lines))


if __name__ == "__main__":
    main()
