"""Numbers that are written in Python and in nffi.h."""

import os
import re
import unittest

import _nffi
from nffi import codes, context

HEADER = os.path.join(os.path.dirname(os.path.abspath(_nffi.__file__)), "../include/nffi.h")


def numbers_of_the_header():
    with open(HEADER, encoding="utf-8") as file:
        text = file.read()
    numbers = {name: int(value) for name, value in re.findall(r"X\((\w+), (-?\d+),", text)}
    numbers["NFFI_OK"] = int(re.search(r"\bNFFI_OK = (\d+)", text)[1])
    levels = re.search(r"enum nffi_log_level \{(.*?)\}", text, re.S)[1]
    first = int(re.search(r"= (\d+)", levels)[1])
    names = re.findall(r"NFFI_LOG_\w+", levels)
    numbers.update((name, first + i) for i, name in enumerate(names))
    return numbers


class Codes(unittest.TestCase):
    def test_each_code_and_level_is_the_one_of_the_header(self):
        known = numbers_of_the_header()
        ours = {name: value for name, value in vars(codes).items() if name.isupper()}
        for name, value in ours.items():
            with self.subTest(name=name):
                self.assertEqual(known[f"NFFI_LOG_{name}" if value > 0 else f"NFFI_{name}"], value)
        self.assertEqual(len(ours), 13)

    def test_libnffi_has_a_text_for_each_code(self):
        numbers = [value for name, value in vars(codes).items() if name.isupper() and value < 0]
        self.assertGreater(len(numbers), 5)
        texts = {_nffi.error_text(number) for number in numbers}
        self.assertEqual(len(texts), len(numbers))
        self.assertNotIn(_nffi.error_text(-12345), texts)


class LogMessages(unittest.TestCase):
    def test_a_long_line_is_cut_between_characters(self):
        parts = []
        original = context._nffi

        class Fake:
            def log(self, queue, task, level, data):
                parts.append((queue, task, level, data))

        context._nffi = Fake()
        try:
            context.write_log(7, 9, codes.WARN, "a" + "ü" * 2000 + "\n\nsecond")
        finally:
            context._nffi = original
        self.assertTrue(all(part[:3] == (7, 9, codes.WARN) for part in parts))
        sizes = [len(part[3]) for part in parts]
        self.assertEqual(sizes, [2047, 1954, 6])
        self.assertEqual(b"".join(part[3] for part in parts[:2]).decode(), "a" + "ü" * 2000)
