"""The methods through a real nginx, on a free port: `make e2e` passes the path of nffi-nginx."""

from __future__ import annotations

import os
import pathlib
import subprocess
import unittest
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError
from urllib.request import urlopen

PROJECT = pathlib.Path(__file__).parents[1]


class NginxTest(unittest.TestCase):
    nginx: subprocess.Popen[str]
    address: str

    @classmethod
    def setUpClass(cls) -> None:
        # it ends when its standard input does: with this program, however that ends
        cls.nginx = subprocess.Popen(
            [os.environ["NGINX"], "run"],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert cls.nginx.stdout
        cls.address = cls.nginx.stdout.readline().strip()

    @classmethod
    def tearDownClass(cls) -> None:
        assert cls.nginx.stdin and cls.nginx.stdout
        cls.nginx.stdin.close()
        cls.nginx.wait(timeout=60)
        cls.nginx.stdout.close()

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urlopen(self.address + path, timeout=30) as response:
                return response.status, response.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def test_hello_answers(self) -> None:
        self.assertEqual(self.get("/hello?name=Ada"), (200, "hello Ada\n"))

    def test_an_error_of_a_method_is_a_500_with_its_message_in_the_log_only(self) -> None:
        status, body = self.get("/hello?name=%20")
        self.assertEqual(status, 500)
        self.assertNotIn("the name is empty", body)
        log = (PROJECT / "run-test/logs/error.log").read_text()
        self.assertRegex(log, r'the name is empty \(runtime_error\).* request: "GET /hello')

    def test_a_call_that_waits_holds_up_nobody(self) -> None:
        with ThreadPoolExecutor() as threads:
            waiting = threads.submit(self.get, "/wait?ms=1000")
            self.assertEqual(self.get("/hello?name=Ada"), (200, "hello Ada\n"))
            self.assertFalse(waiting.done())
            self.assertEqual(waiting.result(), (200, "waited 1000 ms\n"))

    def test_ticks_stream(self) -> None:
        status, body = self.get("/ticks?count=20")
        self.assertEqual((status, body.splitlines()[-1]), (200, "tick 20"))


if __name__ == "__main__":
    unittest.main()
