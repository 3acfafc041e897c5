//! The runtime as a process.

fn main() {
    nffi::main(runtime::start)
}
