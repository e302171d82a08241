"""The quickstart's text fetcher, without a network. usage: quickstart_text_test.py LAUNCH-DIRECTORY"""

import gzip
import os
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

LAUNCH = sys.argv.pop()
NOVELS = ["emma", "mansfieldpark", "northangerabbey", "persuasion", "prideprejudice", "sensesensibility"]


def char(text):
    return struct.pack(">ii", 9 | 0x40000, len(text)) + text


def strings(texts):
    return struct.pack(">ii", 16, len(texts)) + b"".join(map(char, texts))


def r_object(body):  # version 3 names the native encoding
    return b"X\n" + struct.pack(">iiii", 3, 0x40201, 0x30500, 5) + b"UTF-8" + body


def named_list(items):
    names = struct.pack(">iii", 2 | 1 << 10, 1, 0x40009) + struct.pack(">i", 5) + b"names"
    values = b"".join(items.values())
    return struct.pack(">ii", 19 | 1 << 9, len(items)) + values + names + strings(list(items)) + struct.pack(">i", 254)


def fetch(output, path):
    return subprocess.run(
        [os.path.join(LAUNCH, "fetch_quickstart_text.sh"), output],
        env={"PATH": path}, capture_output=True, text=True, check=False)


class ExtractorTest(unittest.TestCase):
    def test_reads_character_vectors(self):
        with tempfile.TemporaryDirectory() as directory:
            packed = zlib.compress(r_object(strings([b"EMMA", b"", b"caf\xc3\xa9"])))
            unpacked_size = len(zlib.decompress(packed))
            place = struct.pack(">iiii", 13, 2, 3, 4 + len(packed))
            with open(os.path.join(directory, "Rdata.rdb"), "wb") as file:
                file.write(b"pad" + struct.pack(">I", unpacked_size) + packed)
            with gzip.open(os.path.join(directory, "Rdata.rdx"), "wb") as file:
                file.write(r_object(named_list({b"variables": named_list({b"emma": place})})))
            subprocess.run(
                [sys.executable, os.path.join(LAUNCH, "quickstart_text.py"), directory, directory], check=True)
            with open(os.path.join(directory, "austen_emma.txt"), "rb") as file:
                self.assertEqual(file.read(), b"EMMA\n\ncaf\xc3\xa9\n")


class FetchTest(unittest.TestCase):
    def test_complete_text_is_left_alone(self):
        with tempfile.TemporaryDirectory() as directory:
            sizes = {"bible_kjv.txt": 4404412}
            sizes.update({f"austen_{novel}.txt": 4025029 // 6 for novel in NOVELS})
            for name, size in sizes.items():
                with open(os.path.join(directory, name), "wb") as file:
                    file.truncate(size)
            result = fetch(directory, "/usr/bin:/bin")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(result.stdout, f"{directory} is complete\n")

    def test_offline_says_so_and_leaves_nothing(self):
        with tempfile.TemporaryDirectory() as directory:
            fake = os.path.join(directory, "apt-get")
            with open(fake, "w", encoding="utf-8") as file:
                file.write("#!/bin/sh\necho 'E: Failed to fetch' >&2\nexit 100\n")
            os.chmod(fake, 0o755)
            output = os.path.join(directory, "text")
            result = fetch(output, f"{directory}:/usr/bin:/bin")
            self.assertEqual(result.returncode, 1)
            self.assertIn("E: Failed to fetch", result.stderr)
            self.assertIn("cannot download r-cran-janeaustenr bible-kjv bible-kjv-text (offline", result.stderr)
            self.assertFalse(os.path.exists(output))


if __name__ == "__main__":
    unittest.main()
