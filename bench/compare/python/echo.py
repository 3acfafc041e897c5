"""The handler that nffi calls, and that server.py serves."""


def handle(data):
    return data
