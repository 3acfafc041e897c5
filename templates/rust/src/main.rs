//! The runtime as a process of its own.

fn main() {
    nffi::main(runtime::start)
}
