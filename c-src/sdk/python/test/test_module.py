"""Modules are loaded, loaded again, and freed."""

import os
import sys
import tempfile
import threading
import time
import unittest

from nffi import module
from nffi.settings import Settings


class Modules(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        path, modules = list(sys.path), set(sys.modules)
        self.addCleanup(lambda: sys.path.__setitem__(slice(None), path))
        self.addCleanup(lambda: [sys.modules.pop(n) for n in set(sys.modules) - modules])

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        return path

    def settings_of(self, text):
        file = self.write("served_app.py", text)
        return Settings(module=file, file=file)

    def reload(self, settings, old):
        installed = []
        module.reload(settings, old, installed.append)
        return installed[0]


class Load(Modules):
    def test_a_file_and_the_modules_beside_it(self):
        self.write("served_part.py", "VALUE = 1")
        loaded = module.load(self.settings_of("from served_part import VALUE"))
        self.assertEqual(loaded.VALUE, 1)
        self.assertEqual(loaded.__name__, "served_app")
        self.assertIs(sys.modules["served_app"], loaded)

    def test_a_name_on_the_path(self):
        self.write("named_app.py", "VALUE = 2")
        loaded = module.load(Settings(module="named_app", path=[self.folder]))
        self.assertEqual(loaded.VALUE, 2)

    def test_each_runtime_has_its_own_module(self):
        settings = self.settings_of("VALUES = []")
        one, two = module.load(settings), module.load(settings)
        self.assertIsNot(one.VALUES, two.VALUES)
        self.assertIs(sys.modules["served_app"], one)

    def test_missing_modules(self):
        missing = Settings(module="x.py", file=f"{self.folder}/x.py")
        with self.assertRaisesRegex(FileNotFoundError, ".*x.py not found"):
            module.load(missing)
        with self.assertRaisesRegex(ModuleNotFoundError, "no module named 'no_such_app'"):
            module.load(Settings(module="no_such_app", path=[self.folder]))

    def test_a_failed_load_can_be_repaired(self):
        self.write("served_part.py", "VALUE = 1")
        settings = self.settings_of("import served_part; raise ValueError(served_part.VALUE)")
        with self.assertRaises(ValueError):
            module.load(settings)
        self.assertNotIn("served_app", sys.modules)
        self.assertNotIn("served_part", sys.modules)
        self.settings_of("VALUE = 3")
        self.assertEqual(module.load(settings).VALUE, 3)


class Reload(Modules):
    def test_the_module_and_its_parts_are_read_again(self):
        self.write("served_part.py", "VALUE = 1")
        settings = self.settings_of("import json; from served_part import VALUE")
        old, json = module.load(settings), sys.modules["json"]
        # the same second and the same size
        self.write("served_part.py", "VALUE = 2")
        new = self.reload(settings, old)
        self.assertEqual((old.VALUE, new.VALUE), (1, 2))
        self.assertIs(sys.modules["served_app"], new)
        self.assertIs(sys.modules["json"], json)

    def test_a_failed_reload_restores_what_was_there(self):
        self.write("served_part.py", "VALUE = 1")
        settings = self.settings_of("import served_part")
        old = module.load(settings)
        part = sys.modules["served_part"]
        self.write("served_part.py", "VALUE = 2")
        self.settings_of("import served_part; import served_new; raise ValueError")
        self.write("served_new.py", "")
        with self.assertRaises(ValueError):
            self.reload(settings, old)
        self.assertIs(sys.modules["served_app"], old)
        self.assertIs(sys.modules["served_part"], part)
        self.assertNotIn("served_new", sys.modules)

    def test_what_cannot_be_installed_is_not_kept(self):
        settings = self.settings_of("VALUE = 1")
        old = module.load(settings)

        def refuse(_):
            raise TypeError("no function to call")

        with self.assertRaises(TypeError):
            module.reload(settings, old, refuse)
        self.assertIs(sys.modules["served_app"], old)


CYCLIC = """
import typing

class Item:
    def name(self):
        return "item"

def handle(request: typing.Optional[Item]) -> typing.List[Item]:
    return [handle]

typing.get_type_hints(handle)
"""


class Freeing(Modules):
    def test_code_that_a_reload_has_replaced_is_freed(self):
        settings = self.settings_of(CYCLIC)
        loaded = [module.load(settings)]
        code = module.watch(loaded[0])
        self.assertIsNotNone(code())
        loaded[0] = self.reload(settings, loaded[0])
        module.collect_when_unused(code)
        self.assertIsNone(code())

    def test_code_that_a_call_still_uses_is_freed_later(self):
        settings = self.settings_of(CYCLIC)
        loaded = [module.load(settings)]
        running = [loaded[0].handle]
        code = module.watch(loaded[0])
        loaded[0] = self.reload(settings, loaded[0])
        module.collect_when_unused(code)
        self.assertIsNotNone(code())
        running.clear()
        until = time.monotonic() + 5
        while code() is not None and time.monotonic() < until:
            time.sleep(0.01)
        self.assertIsNone(code())

    def test_no_thread_waits_for_code_that_was_collected(self):
        settings = self.settings_of(CYCLIC)
        loaded = [module.load(settings)]
        code = module.watch(loaded[0])
        loaded[0] = self.reload(settings, loaded[0])
        before = threading.active_count()
        module.collect_when_unused(code)
        self.assertEqual(threading.active_count(), before)
