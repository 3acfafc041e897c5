"""print, logging and warnings become lines of error.log."""

import logging
import os
import threading
import unittest
from unittest import mock

from nffi import codes, logs
from nffi.lines import Lines


class Marks(unittest.TestCase):
    def test_each_line_has_a_mark_with_its_level(self):
        self.assertEqual(
            logs.mark_lines(codes.WARN, "one\ntwo"), "\x01warn\x02one\n\x01warn\x02two\n"
        )
        self.assertEqual(logs.mark_lines(codes.ERROR, ""), "\x01error\x02\n")

    def test_a_stack_has_a_name_that_depends_on_its_text(self):
        one, again, other = (logs._mark_stack(text) for text in ("a\nb", "a\nb", "c"))
        self.assertEqual(one, again)
        self.assertNotEqual(one.split()[1], other.split()[1])
        self.assertRegex(one, rf"^\x01stack [0-9a-f]{{8}} {os.getpid()}\x02a\n\x01stack .*\x02b\n$")
        self.assertEqual(logs._mark_stack(""), "")

    def test_the_last_lines_are_written_to_a_slow_pipe(self):
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        text, received = "x" * 200_000, []

        def read():
            with open(reader, "rb") as stream:
                received.append(stream.read())

        thread = threading.Thread(target=read)
        real = os.write
        with mock.patch.object(os, "write", lambda _, data: real(writer, data)):
            thread.start()
            logs.log_now(codes.ERROR, text, "stack")
        os.close(writer)
        thread.join()
        self.assertTrue(received[0].startswith(b"\x01error\x02xxx"))
        self.assertIn(b"x\n\x01stack ", received[0])
        self.assertEqual(received[0].count(b"x"), 200_000)


class StandardStreams(unittest.TestCase):
    def setUp(self):
        self.written = []
        self.lines = Lines(
            codes.NOTICE, lambda level, text: self.written.append((level, text)), "<stdout>", 1
        )

    def test_a_line_is_logged_at_its_end(self):
        print("a", 1, end=" ", file=self.lines)
        self.assertEqual(self.written, [])
        print("b", file=self.lines)
        self.assertEqual(self.written, [(codes.NOTICE, "a 1 b")])

    def test_several_lines_are_one_message(self):
        self.lines.write("a\nb\nc")
        self.assertEqual(self.written, [(codes.NOTICE, "a\nb")])

    def test_each_thread_has_its_own_incomplete_line(self):
        self.lines.write("mine ")
        other = threading.Thread(target=lambda: self.lines.write("theirs\n"))
        other.start()
        other.join()
        self.lines.write("too\n")
        self.assertEqual([text for _, text in self.written], ["theirs", "mine too"])

    def test_a_line_without_an_end_is_logged_in_parts(self):
        for _ in range(9):
            self.lines.write("\r" + "x" * 999)
        self.assertEqual(len(self.written), 1)
        self.assertGreater(len(self.written[0][1]), 8192)

    def test_bytes_may_be_cut_within_a_character(self):
        encoded = "grün\n".encode()
        self.lines.buffer.write(encoded[:3])
        self.lines.buffer.write(encoded[3:])
        self.lines.buffer.write(b"\xff\n")
        self.assertEqual([text for _, text in self.written], ["grün", "\\xff"])

    def test_wrong_types_and_closing(self):
        with self.assertRaises(TypeError):
            self.lines.write(b"bytes")
        with self.assertRaises(TypeError):
            self.lines.buffer.write("text")
        self.lines.close()
        self.lines.write("still open\n")
        self.assertEqual(self.written, [(codes.NOTICE, "still open")])


class Logging(unittest.TestCase):
    def test_levels_and_names(self):
        written = []
        handler = logs._Handler(lambda level, text: written.append((level, text)))
        for name, level in [("root", 10), ("app", 20), ("app", 30), ("py.warnings", 30)]:
            handler.emit(logging.LogRecord(name, level, "", 0, "text %d", (level,), None))
        handler.emit(logging.LogRecord("app", logging.CRITICAL, "", 0, "end", (), None))
        self.assertEqual(
            written,
            [
                (codes.DEBUG, "text 10"),
                (codes.INFO, "app: text 20"),
                (codes.WARN, "app: text 30"),
                (codes.WARN, "text 30"),
                (codes.ERROR, "app: end"),
            ],
        )

    def test_lines_of_no_call_go_to_the_newest_runtime(self):
        log = logs.WorkerLog()
        with mock.patch.object(logs, "write_log") as write_log:
            log(codes.INFO, "dropped")
            log.queue = 5
            log(codes.INFO, "kept")
        write_log.assert_called_once_with(5, 0, codes.INFO, "kept")
