"""A second runtime whose directories have a module of the same name is refused."""

import os
import sys
import tempfile
import unittest

from nffi.failure import Error
from nffi.projects import Project, is_installed
from nffi.settings import Settings


class Projects(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        path = list(sys.path)
        self.addCleanup(lambda: sys.path.__setitem__(slice(None), path))

    def project(self, name, *files):
        for file in files:
            path = os.path.join(self.folder, name, file)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as stream:
                stream.write("NAME = __name__\n")
        directory = os.path.join(self.folder, name)
        project = Project(Settings(module=name, path=[directory]))
        self.addCleanup(project.leave)
        return project

    def assert_refused(self, project, *texts):
        with self.assertRaises(Error) as caught:
            project.enter()
        for text in (*texts, 'host = "process"'):
            self.assertIn(text, str(caught.exception))

    def test_two_modules_of_one_name(self):
        self.project("one", "first.py", "helpers.py").enter()
        two = self.project("two", "second.py", "helpers.py")
        self.assert_refused(two, "two: two modules named helpers", "one/helpers.py of one")

    def test_a_package_and_a_module(self):
        self.project("one", "models/__init__.py").enter()
        self.assert_refused(self.project("two", "models.py"), "two modules named models")

    def test_modules_in_directories_that_form_one_package(self):
        self.project("one", "shop/prices.py", "shop/stock.py").enter()
        self.project("two", "shop/orders.py").enter()
        three = self.project("three", "shop/stock.py")
        self.assert_refused(three, "two modules named shop.stock")

    def test_other_names_and_the_same_directory_are_accepted(self):
        one = self.project("one", "first.py", "conftest.py", "setup.py", "not-a-name.py")
        one.enter()
        self.project("two", "second.py", "conftest.py", "setup.py", "not-a-name.py").enter()
        self.project("one").enter()
        one.enter()

    def test_a_link_to_the_same_file_is_accepted(self):
        self.project("one", "shared.py").enter()
        two = self.project("two", "second.py")
        os.symlink(f"{self.folder}/one/shared.py", f"{self.folder}/two/shared.py")
        two.enter()

    def test_a_refused_project_does_not_block_the_name(self):
        one = self.project("one", "helpers.py")
        one.enter()
        two = self.project("two", "helpers.py")
        self.assert_refused(two, "helpers")
        one.leave()
        two.enter()
        self.assert_refused(one, "helpers")

    def test_a_module_that_is_imported_already(self):
        self.project("one", "first.py").enter()
        extra = self.project("extra", "imported_elsewhere.py").directories[0]
        sys.path.insert(0, extra)
        __import__("imported_elsewhere")
        self.addCleanup(sys.modules.pop, "imported_elsewhere", None)
        two = self.project("two", "imported_elsewhere.py")
        self.assert_refused(two, "imported_elsewhere", "which is imported already")

    def test_leaving_removes_modules_and_paths_unless_they_are_shared(self):
        one, again = self.project("one", "only_here.py"), self.project("one")
        directory = one.directories[0]
        one.enter()
        again.enter()
        sys.path.insert(0, directory)
        __import__("only_here")
        one.leave()
        self.assertIn("only_here", sys.modules)
        self.assertIn(directory, sys.path)
        again.leave()
        self.assertNotIn("only_here", sys.modules)
        self.assertNotIn(directory, sys.path)

    def test_what_is_installed(self):
        self.assertTrue(is_installed(os.__file__))
        self.assertTrue(is_installed("/v/lib/python3/site-packages/x.py"))
        self.assertTrue(is_installed("/usr/lib/python3/dist-packages/x.py"))
        self.assertFalse(is_installed(f"{self.folder}/one/x.py"))
