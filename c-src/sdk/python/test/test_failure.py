"""The error that Lua gets for an exception."""

import unittest

import nffi
from nffi.failure import code_of, describe, detail_of, encode, in_one_line, message_of


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
        self.assertEqual(inside, "")


    def test_a_message_alone_is_not_repeated(self):
        class Qualified(Exception):
            pass

        for error in (ValueError("two\nlines"), KeyError(), Qualified("x"), Qualified("a\nb\n")):
            self.assertEqual(detail_of(error), "")
        broken = SyntaxError("bad", ("a.py", 3, 1, "x ="))
        self.assertIn('File "a.py", line 3', detail_of(broken))
        caused = ValueError("outer")
        caused.__cause__ = KeyError("inner")
        self.assertIn("KeyError: 'inner'", detail_of(caused))


def raises(*arguments):
    raise SystemExit("no luck")


class Exits(ValueError):
    __str__ = __repr__ = raises


class Text(str):
    __getitem__ = encode = __format__ = raises


class OddText(ValueError):
    def __str__(self):
        return Text("odd")


class Name(type):
    __name__ = property(raises)


class OddName(ValueError, metaclass=Name):
    __class__ = property(raises)
    __traceback__ = property(raises)


class OddError(nffi.Error):
    def __init__(self):
        Exception.__init__(self, "odd")

    detail = code = property(raises)


class Whatever(unittest.TestCase):
    """What a class of the user may do."""

    def test_methods_and_attributes_that_raise_or_return_a_wrong_type(self):
        for error, message in (
            (Exits(), b"Exits: its text is not readable"),
            (OddText(), b"OddText: odd"),
            (OddName("x"), b"OddName: x"),
            (OddError(), b"odd"),
        ):
            self.assertEqual(describe(error)[0], message)
            self.assertEqual(code_of(error), 0)

    def test_a_detail_that_is_no_text(self):
        for detail, text in (({"id": 7}, b"{'id': 7}"), (7, b"7"), (b"x", b"b'x'"), (Exits(), b"")):
            self.assertEqual(describe(nffi.Error("x", detail=detail)), (b"x", text))

    def test_a_code(self):
        for code in (1, -(2**31), 2**31 - 1):
            self.assertEqual(code_of(nffi.Error("x", code=code)), code)
        self.assertEqual(code_of(nffi.Error("x", code=True)), 1)
        self.assertEqual(code_of(ValueError("x")), 0)

    def test_a_code_that_is_no_32_bit_number_is_the_detail(self):
        for code in (2**31, -(2**31) - 1, 2**40, "E42", 1.5):
            error = nffi.Error("x", code=code)
            self.assertEqual(code_of(error), 0)
            self.assertEqual(detail_of(error), str(code))
        self.assertEqual(detail_of(nffi.Error("x", detail="y", code="E42")), "y")
        for nothing in (0, None):
            self.assertEqual(detail_of(nffi.Error("x", code=nothing)), "")

    def test_a_text_of_100_mb(self):
        message, detail = describe(raised(ValueError("x" * 100_000_000)))
        self.assertEqual((len(message), len(detail)), (16_000, 48_000))


class Bytes(unittest.TestCase):
    def test_message_and_detail_have_limits(self):
        message, detail = describe(raised(ValueError("x" * 100_000)))
        self.assertEqual(len(message), 16_000)
        self.assertEqual(len(detail), 48_000)

    def test_a_lone_surrogate_is_written_as_its_number(self):
        self.assertEqual(encode("a\udc80b"), b"a\\udc80b")

    def test_one_line(self):
        self.assertEqual(in_one_line("a\n\n  b \r\nc"), "a | b | c")
