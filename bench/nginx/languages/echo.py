# Returns the bytes of the request.
def handle(data):
    return data
