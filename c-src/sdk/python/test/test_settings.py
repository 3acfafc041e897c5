"""The settings of a runtime, from the JSON of nffi.load and from the text of the public ABI."""

import json
import os
import unittest

from nffi.settings import parse


def parse_json(**settings):
    return parse(json.dumps(settings).encode())


class FromJson(unittest.TestCase):
    def test_defaults(self):
        settings = parse_json(module="app")
        self.assertEqual(settings.module, "app")
        self.assertIsNone(settings.file)
        self.assertEqual(settings.codec, "json")
        self.assertIsNone(settings.config)
        self.assertEqual(settings.path, [os.getcwd()])
        self.assertFalse(settings.plain)
        self.assertEqual(settings.threads, min(32, (os.cpu_count() or 1) + 4))

    def test_all_settings(self):
        settings = parse_json(
            module="app", handler="run", codec="raw", config={"a": [1]}, path=["/x"], threads=3
        )
        self.assertEqual(settings.handler, "run")
        self.assertEqual(settings.codec, "raw")
        self.assertEqual(settings.config, {"a": [1]})
        self.assertEqual(settings.path, ["/x"])
        self.assertEqual(settings.threads, 3)

    def test_path_is_one_directory_a_list_or_the_prefix(self):
        self.assertEqual(parse_json(module="app", path="/x").path, ["/x"])
        self.assertEqual(parse_json(module="app", prefix="/p").path, ["/p"])
        self.assertEqual(parse_json(module="app", prefix="/p", path="/x").path, ["/x"])

    def test_a_name_with_a_slash_or_py_is_a_file(self):
        self.assertEqual(parse_json(module="app.py").file, os.path.abspath("app.py"))
        self.assertEqual(parse_json(module="lib/app").file, os.path.abspath("lib/app"))
        self.assertEqual(parse_json(module="app.py", file="/y/app.py").file, "/y/app.py")

    def test_errors_name_the_setting(self):
        for data, text in [
            (b"{", "the configuration is not a JSON object"),
            (b"{}", 'no "module"'),
            (b'{"module": 1}', 'no "module"'),
            (b'{"module": ""}', 'no "module"'),
            (b'{"module": "app", "codec": "xml"}', "codec must be .* but is 'xml'"),
            (b'{"module":' + b"[" * 100_000, "the configuration is not a JSON object"),
        ]:
            with self.subTest(data=data[:20]), self.assertRaisesRegex(ValueError, text):
                parse(data)


class FromText(unittest.TestCase):
    def test_the_rest_after_the_second_comma_is_the_configuration(self):
        settings = parse(b"app,run,a,b")
        self.assertEqual((settings.module, settings.handler), ("app", "run"))
        self.assertEqual((settings.codec, settings.config), ("raw", "a,b"))
        self.assertTrue(settings.plain)

    def test_spaces_around_names_are_ignored(self):
        settings = parse(b" app , run ")
        self.assertEqual((settings.module, settings.handler), ("app", "run"))
        self.assertEqual(settings.config, "")

    def test_a_text_without_a_function_is_refused(self):
        for data in (b"", b"app", b",run"):
            with self.subTest(data=data), self.assertRaisesRegex(ValueError, "must be JSON or"):
                parse(data)
