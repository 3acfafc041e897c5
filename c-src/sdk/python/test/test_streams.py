"""Generators become streams, or one response for a plain call, over a real queue."""

import os
import tempfile
import threading
import unittest

from nffi.testing import CallError, Host

MODULE = """
import threading
import time

import nffi

closed = threading.Event()
written = []

def count(n):
    for i in range(n):
        yield {"i": i}

def fail(n):
    yield n
    raise nffi.Error("no more")

def endless(_):
    try:
        while True:
            written.append(1)
            yield "x" * 1000
    finally:
        closed.set()

def state(_):
    return {"written": len(written), "closed": closed.wait(5)}

def bad(_):
    yield 1
    yield object()

def large(size):
    for _ in range(size):
        yield "x" * (1 << 20)
"""

ASYNC = MODULE.replace("def ", "async def ").replace("closed.wait(5)", "closed.is_set()")


class Streams(unittest.TestCase):
    text = MODULE

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.file = os.path.join(folder.name, f"{cls.__name__.lower()}_app.py")
        with open(cls.file, "w", encoding="utf-8") as stream:
            stream.write(cls.text)
        cls.host = Host(cls.file, threads=4)
        cls.addClassCleanup(cls.host.close)

    def test_values_are_read_one_by_one(self):
        self.assertEqual(list(self.host.streams.count(20)), [{"i": i} for i in range(20)])
        self.assertEqual(list(self.host.streams.count(0)), [])

    def test_a_plain_call_gets_a_list(self):
        self.assertEqual(self.host.methods.count(3), [{"i": 0}, {"i": 1}, {"i": 2}])
        self.assertEqual(self.host.methods.count(0), [])

    def test_an_error_follows_the_chunks(self):
        stream = iter(self.host.streams.fail(1))
        self.assertEqual(next(stream), 1)
        with self.assertRaisesRegex(CallError, "^no more$"):
            next(stream)

    def test_an_error_of_a_plain_call(self):
        with self.assertRaisesRegex(CallError, "^no more$") as caught:
            self.host.methods.fail(1)
        self.assertEqual(caught.exception.code, "runtime_error")

    def test_a_value_that_json_does_not_have(self):
        with self.assertRaisesRegex(CallError, "cannot become JSON"):
            list(self.host.streams.bad(1))
        with self.assertRaisesRegex(CallError, "cannot become JSON"):
            self.host.methods.bad(1)

    def test_a_plain_call_collects_at_most_64_mib(self):
        with self.assertRaisesRegex(CallError, "64 MiB"):
            self.host.methods.large(66)

    def test_a_generator_waits_for_its_reader_and_is_closed_with_it(self):
        stream = self.host.streams.endless()
        self.assertEqual(next(iter(stream)), "x" * 1000)
        stream.cancel()
        until = threading.Event()
        for _ in range(100):
            state = self.host.methods.state()
            if state["closed"]:
                break
            until.wait(0.02)
        self.assertTrue(state["closed"])
        # the window has 64 KiB
        self.assertLess(state["written"], 150)


class AsyncStreams(Streams):
    text = ASYNC
