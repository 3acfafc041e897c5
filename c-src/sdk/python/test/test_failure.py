"""The error that Lua gets for an exception."""

import unittest

import nffi
from nffi.failure import describe, detail_of, encode, in_one_line, message_of


def raised(error):
    try:
        raise error
    except BaseException as caught:
        return caught


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class Message(unittest.TestCase):
    def test_class_and_text(self):
        self.assertEqual(message_of(ValueError("bad")), "ValueError: bad")
        self.assertEqual(message_of(ValueError()), "ValueError")

    def test_an_error_of_nffi_has_its_text_alone(self):
        self.assertEqual(message_of(nffi.Error("no such user")), "no such user")
        self.assertEqual(message_of(nffi.Error()), "Error")

    def test_an_exception_without_a_text(self):
        self.assertEqual(message_of(Unprintable()), "Unprintable: its text is not readable")


class Detail(unittest.TestCase):
    def test_traceback_with_its_causes(self):
        try:
            try:
                raise KeyError("inner")
            except KeyError as inner:
                raise ValueError("outer") from inner
        except ValueError as error:
            detail = detail_of(error)
        self.assertLess(detail.index("KeyError: 'inner'"), detail.index("ValueError: outer"))
        self.assertIn("test_failure.py", detail)
        self.assertFalse(detail.endswith("\n"))

    def test_frames_of_nffi_at_its_beginning_are_left_out(self):
        try:
            nffi.settings.parse(b"{")
        except ValueError as error:
            whole = detail_of(error)
            error.__traceback__ = error.__traceback__.tb_next
            inside = detail_of(error)
        self.assertIn("test_failure.py", whole)
        self.assertNotIn("File ", inside)


class Bytes(unittest.TestCase):
    def test_message_and_detail_have_limits(self):
        message, detail = describe(raised(ValueError("x" * 100_000)))
        self.assertEqual(len(message), 16_000)
        self.assertEqual(len(detail), 48_000)

    def test_a_lone_surrogate_is_written_as_its_number(self):
        self.assertEqual(encode("a\udc80b"), b"a\\udc80b")

    def test_one_line(self):
        self.assertEqual(in_one_line("a\n\n  b \r\nc"), "a | b | c")
