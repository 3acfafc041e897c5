"""The runtime: nginx loads `hello_runtime.handlers`."""
