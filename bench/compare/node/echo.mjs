// The handler that nffi calls, and that server.mjs serves.
export default (bytes) => bytes;
