"""The methods over the real queue, without nginx."""

import pathlib
import unittest

import nffi.testing

SOURCES = str(pathlib.Path(__file__).parents[1] / "src")


class HandlersTest(unittest.TestCase):
    def setUp(self) -> None:
        self.app = nffi.testing.Host(
            "hello_runtime.handlers", config={"greeting": "welcome"}, path=[SOURCES]
        )
        self.addCleanup(self.app.close)

    def test_hello_greets(self) -> None:
        response = self.app.methods.hello({"name": " Ada "})
        self.assertEqual(response, {"greeting": "welcome Ada"})

    def test_hello_wants_a_name(self) -> None:
        with self.assertRaisesRegex(nffi.testing.CallError, "^the name is empty$"):
            self.app.methods.hello({"name": " "})
        with self.assertRaisesRegex(nffi.testing.CallError, "the request is no Hello"):
            self.app.methods.hello({"nmae": "Ada"})

    def test_many_wait_at_once(self) -> None:
        calls = [self.app.calls.wait({"ms": 200}) for _ in range(50)]
        self.assertEqual([call.result() for call in calls], [{"waited": 200}] * 50)

    def test_wait_ends_with_its_deadline(self) -> None:
        with self.assertRaises(nffi.testing.CallError) as raised:
            self.app.methods.wait({"ms": 60000}, timeout=0.1)
        self.assertEqual(raised.exception.code, "timeout")

    def test_ticks_come_one_by_one(self) -> None:
        self.assertEqual(list(self.app.streams.ticks(20)), list(range(1, 21)))


if __name__ == "__main__":
    unittest.main()
