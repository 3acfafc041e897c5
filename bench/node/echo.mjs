// The handler of both designs: the bytes of the request.
export default (bytes) => bytes;
