# Gives back the bytes that it is given.
def handle(data):
    return data
