// The handler of the Node runtimes that are measured.
export default (bytes) => bytes;
